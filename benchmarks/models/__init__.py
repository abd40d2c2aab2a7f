"""How good the deployed scores are, beside the way before and a hand-made model: ``python -m benchmarks.models``."""
