"""A fashion shop that never was: seeded, vectorised, byte-reproducible.

:mod:`simulation_plan` says what is simulated, :mod:`world` draws who buys and what is sold, :mod:`baskets` the orders,
:mod:`behaviour` how likely each line comes back (the truth), :mod:`returning` what does and how it is inspected,
:mod:`delivered_columns` the delivered columns, :mod:`dirt` the rows a real upstream gets wrong, :mod:`simulation` delivers
it all.
"""
