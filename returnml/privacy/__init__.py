"""Who is who: the keyring that links customers to their pseudonyms, and the only ways to ask it.

Shared and pure. Everything else of the project knows customers by their pseudonyms alone. Must not be here: what is done
with a pseudonym.
"""
