"""Any shop's own tables through a declared mapping: reading texts as values, and refusing or counting what is unclear.

Must not be here: the landing format, and what holds for every importer (``returnml.sources``).
"""
