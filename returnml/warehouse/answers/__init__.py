"""What the service answered: the inference log as tables, every answer computed again, and taken apart.

Must not be here: what batch scores (``scores``).
"""
