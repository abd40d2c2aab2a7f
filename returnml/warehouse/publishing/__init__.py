"""What leaves the warehouse: the published generation of the online store, and the copy for BI tools.

Must not be here: the store's formats (``returnml.store``).
"""
