"""The online feature store: published generations, the live part after them, and the engine that reads both.

Shared and pure: serving imports it, batch publishes through it. Belongs here: keys, manifests, the pointer, the event
writer, and what both backends share; the backends have rooms of their own (``lmdb``, ``redis``), the online engine is
``reading``. A generation is an LMDB file whatever the backend. Must not be here: SQL, HTTP, model code.
"""
