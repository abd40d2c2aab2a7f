"""An order or a customer in, scores or features out. Knows no HTTP, reads no clock.

Must not be here: routes, the inference log, the writer thread.
"""
