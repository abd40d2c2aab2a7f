"""Golden vectors: what a fixed shop's features were worth when their hash was last changed.

Belongs here: the shop, its vectors by every engine, the file of what they must be. Must not be here: tests of one module.
"""
