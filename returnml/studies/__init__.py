"""Studies off the product's path: what features add, quality beside a reference, a new policy on scored lines.

No step of the line imports this package; commands do.
"""
