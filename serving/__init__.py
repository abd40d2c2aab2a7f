"""The scoring service: Litestar routes over a data plane that knows no HTTP.

It reads files only (releases, deployment state, online store) and imports only the shared packages of ``returnml``. Here:
``app``, which assembles it, ``state``, what it scores with, and what all rooms share (``wire``, ``errors``); HTTP, scoring,
intake and the log have rooms of their own.
"""
