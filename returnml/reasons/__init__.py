"""Why a line got its score: exact contributions, and reasons in plain words. Pure; shared with serving.

Must not be here: how an explainer is made from trees (``returnml.modeling.export``).
"""
