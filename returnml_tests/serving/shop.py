"""A shop of three order lines, published and with a release whose probabilities can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from returnml.clock import VirtualClock
from returnml.features.feature_set import FeatureSet
from returnml.features.sets.order_line import ORDER_LINE
from returnml.release.commit import transition
from returnml.release.deployment import DeploymentState, read_state
from returnml.release.folder import Release, write_release
from returnml.release.manifest import Manifest
from returnml.settings import DataPaths, LimitSettings, PrivacySettings, ServingSettings, Settings, StoreSettings
from returnml.store.backend_choice import open_backend
from returnml.store.generation import Generation
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.ingest.schema import ensure_schema
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.roots import rooted
from returnml_tests.waiting import PATIENT_LIMITS

DAY_US = 86_400_000_000
CUT_OFF_US = 1_308_096_000_000_000  # 2011-06-15T00:00:00Z
KEYS = "customer_id, article_id, size, product_group, brand, country, payment_method"
PRIOR = 8.0
LMDB = StoreSettings()


def settings(
    data: Path | str,
    log_policy: Literal["require", "shed"] = "shed",
    store: StoreSettings = LMDB,
    stale_features: Literal["refuse", "allow"] = "refuse",
    limits: LimitSettings = PATIENT_LIMITS,
) -> Settings:
    """Customers are known by the ids that the tables hold."""
    serving = ServingSettings(log_policy=log_policy, stale_features=stale_features, limits=limits)
    return Settings(
        data=str(rooted(Path(data))), serving=serving, privacy=PrivacySettings(customer_ids="as_delivered"), store=store
    )


def warehouse() -> duckdb.DuckDBPyConnection:
    """Customer c1 bought a1 twice (one came back and matured) and a2 once."""
    con = open_warehouse(":memory:", threads=1)
    ensure_schema(con)
    a1 = ("c1", "a1", "M", "shirts", "acme", "DE", "invoice")
    a2 = ("c1", "a2", None, "shoes", "acme", "DE", "card")
    _insert(con, "orders", "quantity, line_value_cents, line_id", 1, CUT_OFF_US - 100 * DAY_US, *a1, 2, 4000, "o1-1")
    _insert(con, "orders", "quantity, line_value_cents, line_id", 2, CUT_OFF_US - 10 * DAY_US, *a1, 1, 2000, "o2-1")
    _insert(con, "orders", "quantity, line_value_cents, line_id", 3, CUT_OFF_US - DAY_US, *a2, 1, 9000, "o2-2")
    returned = (CUT_OFF_US - 90 * DAY_US, *a1, 1, 2000, "o1-1", "r1", False)
    _insert(con, "returns", "quantity, refund_cents, line_id, return_id, is_orphan", 4, *returned)
    _insert(con, "outcomes", "returned, returned_quantity, refund_cents", 5, CUT_OFF_US - 67 * DAY_US, *a1, 1, 1, 2000)
    return con


def _insert(con: duckdb.DuckDBPyConnection, table: str, columns: str, seq: int, known_at_us: int, *values: object) -> None:
    """Known when it was ordered."""
    places = ", ".join("?" for _ in values)
    at = f"make_timestamp({known_at_us})"
    ordered_at = "" if table == "outcomes" else ", ordered_at"
    con.execute(
        f"INSERT INTO core.{table} (seq, known_at, known_day{ordered_at}, {KEYS}, {columns}) "
        f"VALUES ({seq}, {at}, {at}::DATE{', ' + at if ordered_at else ''}, {places})",
        values,
    )


def publish(
    data: Path,
    cut_off_us: int = CUT_OFF_US,
    feature_sets: Sequence[FeatureSet] = FEATURE_SETS,
    store: StoreSettings = LMDB,
) -> Generation:
    backend = open_backend(Settings(data=str(rooted(data)), store=store))
    return publish_generation(warehouse(), feature_sets, cut_off_us, backend)


def graph(
    feature_set: FeatureSet = ORDER_LINE,
    prior: float = PRIOR,
    width: int | None = None,
    columns: tuple[str, str] = ("quantity", "customer_orders_count_365d"),
) -> bytes:
    """``probability = evidence / (evidence + prior)`` of the sum of two columns: exact in float32."""
    places = [feature_set.outputs.index(n) for n in columns]
    constants = [
        numpy_helper.from_array(np.array(places), "columns"),
        numpy_helper.from_array(np.float32(prior), "prior"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    nodes = [
        helper.make_node("Gather", ["features", "columns"], ["used"], axis=1),
        helper.make_node("ReduceSum", ["used", "axis"], ["evidence"], keepdims=0),
        helper.make_node("Add", ["evidence", "prior"], ["all"]),
        helper.make_node("Div", ["evidence", "all"], ["probability"]),
    ]
    shape = ["rows", width or len(feature_set.outputs)]
    built = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])],
        constants,
    )
    proto = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 8
    return proto.SerializeToString()


def manifest(feature_set: FeatureSet = ORDER_LINE, **changed: object) -> Manifest:
    fields: dict = {
        "task": "return_risk",
        "feature_set": feature_set.name,
        "feature_set_version": feature_set.version,
        "feature_set_hash": feature_set.hash,
        "inputs": list(feature_set.outputs),
        "cut_off_us": CUT_OFF_US,
        "training_snapshot": "none",
        "seed": 1,
        "parameters": {},
        "metrics": {},
        "label": {"window_days": 30, "grace_days": 3},
        "libraries": {},
    }
    return Manifest(**(fields | changed))


def deploy(data: Path, model: bytes | None = None, **changed: object) -> Release:
    """Write a release and make it champion."""
    paths = DataPaths(rooted(data))
    release = write_release(paths.releases, manifest(**changed), {"model.onnx": model or graph()})
    make_champion_of(data, release.version)
    return release


def make_champion_of(data: Path, version: str, task: str = "return_risk") -> DeploymentState:
    path, clock = DataPaths(data).deployment_state(task), VirtualClock(CUT_OFF_US)
    state = read_state(path)
    return transition(path, state, state.with_champion(version), action="make_champion", by="test", why="test", clock=clock)


def order(**changed: object) -> dict:
    """Customer c1 orders two pieces of a1 and one of an unknown article."""
    lines = [
        {"line_id": "l1", "article_id": "a1", "quantity": 2, "unit_price_cents": 2000, "size": "M", "product_group": "shirts"},
        {"line_id": "l2", "article_id": "new", "quantity": 1, "unit_price_cents": 10000},
    ]
    return {
        "order_id": "o9",
        "customer_id": "c1",
        "currency": "EUR",
        "country": "DE",
        "payment_method": "invoice",
        "lines": lines,
    } | changed


def now_us() -> int:
    """Noon of the cut-off's day."""
    return CUT_OFF_US + DAY_US // 2
