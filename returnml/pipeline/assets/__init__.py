"""The Dagster assets, one module per stage. Bodies only call the pure packages; SQL and formulas do not belong here."""
