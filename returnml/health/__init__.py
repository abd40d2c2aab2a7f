"""What can be wrong with a data root as a whole, and bringing one of a version before to this one.

What belongs here: checks that hold the parts of a root against each other, each giving findings and changing nothing, and the
steps of an upgrade. What must not: how a part is read, proven or mended; that is in the part's own package.
"""
