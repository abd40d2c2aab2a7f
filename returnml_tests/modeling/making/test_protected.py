"""A release of a shop with protected attributes: the snapshot carries them, the model does not, the card tells their groups."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec

from returnml.attributes import Attributes
from returnml.modeling.data.snapshot import read_snapshot, verify_snapshot
from returnml.modeling.making.candidate import train_release
from returnml.settings import Settings
from returnml.tasks import CHECKOUT
from returnml.tasks.registry import task_named
from returnml.warehouse.training.training_rows import build_snapshot
from returnml_tests.modeling.shop import FEATURE_SET, SETTINGS, START, TASK, order_lines, warehouse

GENDER = {"type": "category", "protected": True}


def protected(**gender: object) -> Attributes:
    return msgspec.convert({"attributes": {"customer": {"gender": GENDER | gender}}}, Settings).shop_attributes


def test_the_card_tells_the_groups_of_an_attribute_that_the_model_does_not_use(tmp_path: Path):
    own = task_named(CHECKOUT, protected())
    task = replace(TASK, facts=own.facts, protected=own.protected)
    con = warehouse(order_lines())
    con.execute("ALTER TABLE core.orders ADD COLUMN customer_gender VARCHAR")
    con.execute("UPDATE core.orders SET customer_gender = CASE WHEN hash(customer_id) % 3 = 0 THEN 'f' ELSE 'm' END")
    snapshot = build_snapshot(con, task, START + timedelta(days=200), tmp_path / "training", SETTINGS.label)
    verify_snapshot(read_snapshot(snapshot.path))
    assert set(snapshot.table()["customer_gender"].unique()) == {"f", "m"}
    assert "customer_gender" not in snapshot.manifest.features
    candidate = train_release(snapshot, task, SETTINGS, tmp_path / "releases")
    assert candidate.release.manifest.inputs == list(FEATURE_SET.outputs)
    card = candidate.release.read("model_card.md").decode()
    assert "## Protected attributes" in card
    assert "* customer_gender: not used" in card
    rows = [line.split(" | ") for line in card.splitlines() if line.startswith("| customer_gender |")]
    assert [row[1] for row in rows] == ["f", "m"]
    held = int(candidate.evaluation.rows)
    assert sum(int(row[2].replace(",", "")) for row in rows) == held


def test_the_card_says_why_one_is_used(tmp_path: Path):
    own = task_named(CHECKOUT, protected(use=True, because="sizes differ"))
    task = replace(TASK, facts=own.facts, protected=own.protected)
    con = warehouse(order_lines())
    con.execute("ALTER TABLE core.orders ADD COLUMN customer_gender VARCHAR")
    snapshot = build_snapshot(con, task, START + timedelta(days=200), tmp_path / "training", SETTINGS.label)
    card = train_release(snapshot, task, SETTINGS, tmp_path / "releases").release.read("model_card.md").decode()
    assert "customer_gender: used, because sizes differ" in card
    assert "| protected attribute customer_gender | sizes differ |" in card
    assert "| customer_gender | unknown |" in card


def test_a_shop_without_any_has_the_card_that_it_had(tmp_path: Path):
    con = warehouse(order_lines())
    snapshot = build_snapshot(con, TASK, START + timedelta(days=200), tmp_path / "training", SETTINGS.label)
    card = train_release(snapshot, TASK, SETTINGS, tmp_path / "releases").release.read("model_card.md").decode()
    assert "rotected" not in card
