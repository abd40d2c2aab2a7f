"""The checks: one module each, with ``find(settings, clock)``. They read and change nothing, and do not know each other."""
