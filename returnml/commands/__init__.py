"""The commands of ``returnml``, one module per area; :mod:`returnml.cli` assembles them.

Must not be here: work. A command reads options, calls a package and says what came of it.
"""
