"""The online feature store: published generations, the live part after them, and the engine that reads both.

Shared and pure: serving imports it, batch publishes through it. Belongs here: keys, manifests, the pointer, the event
writer, the backends (``lmdb_backend`` alone imports ``lmdb``, ``redis_backend`` and ``redis_exchange`` alone ``redis``)
and the online engine. Must not be here: SQL, HTTP, model code.
"""
