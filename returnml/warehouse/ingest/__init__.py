"""From landing files and the event ledger to raw, core and quarantine tables, and to outcomes.

Must not be here: features, and anything that a model says.
"""
