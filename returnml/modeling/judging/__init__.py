"""How good a model is: figures, the evaluation on a hold-out, and the gates of a candidate.

Must not be here: fitting, files, plots.
"""
