"""The declared feature sets, one module each, and the shop's streams that they have in common.

Belongs here: declarations as data. Must not be here: SQL, arithmetic, how a declaration is computed.
"""
