"""What a model is made from: snapshots of mature rows, their splits, and the distribution that drift is measured against.

Must not be here: anything that is fitted.
"""
