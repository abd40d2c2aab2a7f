"""The shared conformance vectors: the oracle and the batch engine, for every window."""

from __future__ import annotations

import json

from returnml.features.declarations import Aggregation, KeyGroup, Operation, Stream
from returnml.features.windows import Window
from returnml_tests.features.engines import EngineWarehouse
from returnml_tests.oracle import Event, Moment, aggregate
from returnml_tests.shared import SHARED, required

OPERATIONS = tuple(o for o in Operation if o is not Operation.SINCE_LAST)
STREAM = Stream("orders", "core.orders", {"value": 40})


def _cases() -> list[dict]:
    return json.loads(required(SHARED / "conformance" / "windows.json").read_text())


def _events(case: dict) -> list[Event]:
    return [Event(e["seq"], e["known_at"], {"customer_id": "c"}, {"value": e["value"]}) for e in case["events"]]


def _until(case: dict, mark: int, requested_at: int) -> int:
    """Visible is a prefix: ``seq <= mark`` as an instant, the first ``known_at`` beyond the mark."""
    return min((e["known_at"] for e in case["events"] if e["seq"] > mark), default=requested_at)


def _column(operation: Operation) -> str | None:
    return None if operation is Operation.COUNT else "value"


def test_oracle_holds() -> None:
    for case in _cases():
        for moment in case["moments"]:
            at = moment["requested_at"]
            visible = [e for e in _events(case) if e.seq <= moment["mark"]]
            for name, want in moment["windows"].items():
                window = Window.parse(name)
                got = {o: aggregate(visible, o, _column(o), window, at, at) for o in OPERATIONS}
                assert got == want, (case["name"], at, name)
            since = aggregate(visible, Operation.SINCE_LAST, None, Window.parse("lifetime"), at, at)
            assert since == moment["us_since_last"], (case["name"], at)


def test_batch_engine_holds(engine: type[EngineWarehouse]) -> None:
    for case in _cases():
        names = list(case["moments"][0]["windows"])
        windows = tuple(Window.parse(n) for n in names)
        group = KeyGroup(
            "customer",
            ("customer_id",),
            (
                *(Aggregation(STREAM, o, _column(o), windows) for o in OPERATIONS),
                Aggregation(STREAM, Operation.SINCE_LAST, None, (Window.parse("lifetime"),)),
            ),
        )
        spine = []
        for i, m in enumerate(case["moments"]):
            until = _until(case, m["mark"], m["requested_at"])
            spine.append(Moment(i, m["requested_at"], until, until, {"customer_id": "c"}))
        warehouse = engine()
        warehouse.write(("customer_id",), {STREAM: _events(case)}, spine)
        for i, got in warehouse.windows([group], from_tiles=False).items():
            moment = case["moments"][i]
            for name in names:
                for o in OPERATIONS:
                    middle = "" if o is Operation.COUNT else "value_"
                    found = got[f"customer_orders_{middle}{o}_{name}"]
                    assert found == moment["windows"][name][o], (case["name"], i, name, o)
            assert got["customer_orders_since_last_us"] == moment["us_since_last"]
