"""Proving that the store holds what was written: every byte on demand, slowly in the background, and what each damage means."""
