"""Money of other currencies in the shop's own: rates as they became known, and exact conversion."""
