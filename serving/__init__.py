"""The scoring service: Litestar routes over a data plane that knows no HTTP.

It reads files only (releases, deployment state, online store) and imports only the shared packages of ``returnml``.
"""
