"""Feast's online read of 1 customer and 5 articles, 20 features each: the reference of ``benchmarks.online_features``.

Runs in Feast's own environment and imports nothing of this project:

    python feast_online.py FOLDER sqlite|redis REDIS_PORT

It loads precomputed features of as many customers and articles as our benchmark's shop has, prints one line of JSON when
ready, and then for each line on stdin (seconds) measures and prints p50 and p99 in microseconds. Feast serves values that
were materialised before; it computes no windows and sees no event since.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feast
import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

COUNTS = {"customer": 10_000, "article": 4_000}
COLUMNS = {name: [f"{name}_{i}" for i in range(20)] for name in COUNTS}
FEATURES = [f"{name}:{column}" for name, columns in COLUMNS.items() for column in columns]
LINES = 5
REQUESTS = 2_000


def build(folder: Path, kind: str, redis_port: str) -> FeatureStore:
    folder.mkdir(parents=True)
    online = {
        "sqlite": f"  type: sqlite\n  path: {folder}/online.db",
        "redis": f'  type: redis\n  connection_string: "127.0.0.1:{redis_port}"',
    }[kind]
    (folder / "feature_store.yaml").write_text(
        f"project: shop\nprovider: local\nregistry: {folder}/registry.db\nonline_store:\n{online}\n"
        "offline_store:\n  type: file\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(repo_path=str(folder))
    now = datetime.now(UTC)
    chance = np.random.default_rng(0)
    declared: list[Any] = []
    for name, n in COUNTS.items():
        frame = pd.DataFrame({column: chance.integers(0, 9_000, n) for column in COLUMNS[name]})
        frame[f"{name}_id"] = np.arange(n)
        frame["known_at"] = now - timedelta(hours=1)
        frame.to_parquet(folder / f"{name}.parquet")
        entity = Entity(name=f"{name}_entity", join_keys=[f"{name}_id"], value_type=ValueType.INT64)
        source = FileSource(path=str(folder / f"{name}.parquet"), timestamp_field="known_at")
        schema = [Field(name=column, dtype=Int64) for column in COLUMNS[name]]
        declared += [entity, FeatureView(name=name, entities=[entity], ttl=timedelta(days=2), schema=schema, source=source)]
    store.apply(declared)
    store.materialize(now - timedelta(days=1), now)
    return store


def requests() -> list[list[dict[str, int]]]:
    chance = np.random.default_rng(1)
    customers = chance.integers(0, COUNTS["customer"], REQUESTS)
    articles = chance.integers(0, COUNTS["article"], (REQUESTS, LINES))
    return [
        [{"customer_id": int(c), "article_id": int(a)} for a in of_order] for c, of_order in zip(customers, articles, strict=True)
    ]


def check(store: FeatureStore, folder: Path, rows: list[dict[str, int]]) -> None:
    found = store.get_online_features(features=FEATURES, entity_rows=rows).to_dict()
    for name in COUNTS:
        loaded = pd.read_parquet(folder / f"{name}.parquet")
        expected = [int(loaded[f"{name}_3"][row[f"{name}_id"]]) for row in rows]
        if found[f"{name}_3"] != expected:
            raise SystemExit(f"Feast answers {found[f'{name}_3']}, {expected} was loaded")


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    store = build(folder, kind, sys.argv[3])
    asked = requests()
    check(store, folder, asked[0])
    print(json.dumps({"feast": feast.__version__}), flush=True)
    for line in sys.stdin:
        for rows in asked[:30]:
            store.get_online_features(features=FEATURES, entity_rows=rows).to_dict()
        took, i, end = [], 0, time.perf_counter() + float(line)
        while time.perf_counter() < end:
            begun = time.perf_counter_ns()
            store.get_online_features(features=FEATURES, entity_rows=asked[i % REQUESTS]).to_dict()
            took.append(time.perf_counter_ns() - begun)
            i += 1
        p50, p99 = np.percentile(np.array(took) / 1_000, [50, 99])
        print(json.dumps({"p50_us": float(p50), "p99_us": float(p99)}), flush=True)


if __name__ == "__main__":
    main()
