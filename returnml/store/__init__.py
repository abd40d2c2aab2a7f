"""The online feature store: published generations, their format and backend, and the engine that reads them.

Shared and pure: serving imports it, batch publishes through it. Belongs here: keys, manifests, the pointer, the LMDB
backend (the only module that imports ``lmdb``) and the online engine. Must not be here: SQL, HTTP, model code.
"""
