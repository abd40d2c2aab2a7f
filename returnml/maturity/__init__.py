"""What young order lines will still do: delays of returns, projections, nowcast and forecast.

Belongs here: pure estimates from counts and delays. Must not be here: SQL, Dagster, plots, training.
"""
