"""The commands of ``returnml``, one module per area; :mod:`returnml.cli` assembles them."""
