"""The store on one host: LMDB environments, and the backend over them.

Only ``environments`` imports ``lmdb``. Must not be here: Redis, and what holds for both backends.
"""
