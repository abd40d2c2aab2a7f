"""What people read about a model: plots, the page of an evaluation, the model card.

Must not be here: a figure that is computed nowhere else.
"""
