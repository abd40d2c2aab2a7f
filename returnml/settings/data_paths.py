"""Where each kind of file lies below the data root."""

from __future__ import annotations

from pathlib import Path


class DataPaths:
    """Where each kind of file lies below the data root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.landing = self.root / "landing"
        self.warehouse = self.root / "warehouse" / "returnml.duckdb"
        self.published = self.root / "warehouse" / "published.duckdb"
        self.training = self.root / "training"
        self.variants = self.root / "variants"
        self.tuning = self.root / "tuning"
        self.releases = self.root / "releases"
        self.deployments = self.root / "deployment"
        self.store = self.root / "store"
        self.ledger = self.root / "ledger"
        self.keys = self.root / "keys"
        self.exchange_rates = self.root / "exchange" / "rates.jsonl"
        self.erasures = self.deployments / "erasures.jsonl"
        self.reports = self.root / "reports"
        self.truth = self.root / "simulator" / "truth"
        self.replay_clock = self.root / "replay" / "clock"
        self.dagster = self.root / "dagster"
        self.mlflow = self.root / "mlflow"
        self.dead_letters = self.root / "dead_letters"
        self.logs = self.root / "logs"
        self.inference_log = self.logs / "inference"

    def deployment_state(self, task: str) -> Path:
        """What decides about a task's rows."""
        return self.deployments / task / "state.json"
