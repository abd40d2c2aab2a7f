"""A root as it should be has no finding; each planted damage is found, and the command that is named mends it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import FileClockDriver, VirtualClock
from returnml.files import sha256
from returnml.instants import instant_us
from returnml.ledger.events import AnyEvent
from returnml.ledger.record_log import segments
from returnml.privacy.customers import AS_DELIVERED
from returnml.release.folder import release_folder
from returnml.release.manifest import MANIFEST_FILE, MODEL_FILE
from returnml.root import ROOT_FILE
from returnml.settings import DataPaths
from returnml.store.event_writer import EventWriter
from returnml.warehouse.partition import open_warehouse
from returnml_tests.release.test_proof import DAMAGES, Shop
from returnml_tests.roots import rooted
from returnml_tests.store import test_repairs
from returnml_tests.store.test_repairs import Damaged
from returnml_tests.warehouse.ledger_shop import placed

GO_LIVE = test_repairs.GO_LIVE
make_damaged = test_repairs.make_damaged


class Root:
    """Four releases with their trail; with a store also a warehouse, a generation and two events after it."""

    def __init__(self, path: Path, store: Damaged | None = None) -> None:
        self.path, self.paths = path, DataPaths(path)
        self.backup = path.parent / f"{path.name}-backup"
        if store is not None:
            self.store = store
            at = datetime(2024, 5, 2, 10)
            writer = EventWriter(store.backend, store.served, VirtualClock(instant_us(at)), AS_DELIVERED)
            writer.submit([msgspec.convert(placed("b", at), AnyEvent)])
            shutil.copytree(self.paths.ledger, self.backup)

    @cached_property
    def shop(self) -> Shop:
        return Shop(self.path)

    def doctor(self, *options: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["doctor", "--json", "--data", str(self.path), *options])
        found = json.loads(done.stdout)
        assert done.exit_code == any(f["is_damage"] for f in found["findings"]), done.output
        return found

    def wrong(self) -> list[dict[str, Any]]:
        return [finding for finding in self.doctor()["findings"] if finding["is_damage"]]

    def run(self, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command as a person gives it: with who, why and where the backup is; a setting in front of it stays."""
        words = shlex.split(mend[mend.rindex("returnml ") :] if "where there is none: " in mend else mend)
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            monkeypatch.setenv(name, value)
        filled = {"WHO": "tester", "WHY": "planted", "BACKUP": str(self.backup)}
        words = [filled.get(word, word) for word in words]
        if words[0] == "returnml":
            done = CliRunner().invoke(app, [*words[1:], "--data", str(self.path)])
            assert done.exit_code == 0, (words, done.output)
        else:
            assert os.system(shlex.join(words)) == 0


@pytest.fixture
def make_root(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Root]:
    """A root with a store of this kind, or without."""

    def make(kind: str | None) -> Root:
        monkeypatch.setenv("RETURNML_GO_LIVE", GO_LIVE.isoformat())
        monkeypatch.setenv("RETURNML_PRIVACY__CUSTOMER_IDS", "as_delivered")
        if kind is None:
            root = Root(rooted(tmp_path))
        else:
            damaged = request.getfixturevalue("make_damaged")(kind)
            root = Root(damaged.paths.root, damaged)
        assert root.shop.findings() == []
        return root

    return make


@pytest.mark.parametrize("kind", [None, "lmdb", "redis"])
def test_a_root_as_it_should_be(make_root, kind):
    found = make_root(kind).doctor()
    assert [f["code"] for f in found["findings"]] == (["replay_clock_set"] if kind else [])
    assert (len(found["checked"]), found["left_out"]) == (10, {})


def trail_deleted(root: Root) -> None:
    root.shop.trail.unlink()


def flipped(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def ledger_bit(root: Root) -> None:
    flipped(segments(root.paths.ledger)[0], 40)


def ledger_end(root: Root) -> None:
    [file] = segments(root.paths.ledger)
    file.write_bytes(file.read_bytes()[:-1])


def keys_opened(root: Root) -> None:
    root.paths.keys.mkdir(mode=0o755, exist_ok=True)
    root.paths.keys.chmod(0o755)


def releases_opened(root: Root) -> None:
    root.shop.releases.chmod(0o777)


def linked(root: Root) -> None:
    folder = release_folder(root.shop.releases, root.shop.second.version)
    (folder / "more").symlink_to(root.path / ROOT_FILE)


def piped(root: Root) -> None:
    os.mkfifo(release_folder(root.shop.releases, root.shop.second.version) / "pipe")


def model_bit(root: Root) -> None:
    flipped(release_folder(root.shop.releases, root.shop.second.version) / MODEL_FILE, 0)


def leading_out(root: Root) -> None:
    """A release that was never made here: valid in itself, and its manifest names a file of somebody else's."""
    forged(root, {"../../root.json": sha256((root.path / ROOT_FILE).read_bytes())})


def weights_elsewhere(root: Root) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    forged(root, {MODEL_FILE: sha256(model)}, model)


def forged(root: Root, files: dict[str, str], model: bytes = b"m") -> None:
    made = msgspec.structs.replace(root.shop.first.manifest, seed=99, files={MODEL_FILE: sha256(model)} | files)
    folder = root.shop.releases / made.version
    folder.mkdir()
    (folder / MANIFEST_FILE).write_bytes(made.encode())
    (folder / MODEL_FILE).write_bytes(model)


Plant = Callable[[Root], object]
OF_ROOT: list[tuple[str, str | None, Plant, str]] = [
    ("C3", None, trail_deleted, "trail_shortened"),
    ("C5", None, linked, "release_damaged"),
    ("C5", None, piped, "release_damaged"),
    ("C5", None, model_bit, "release_damaged"),
    ("C5", None, leading_out, "release_damaged"),
    ("C5", None, weights_elsewhere, "release_damaged"),
    ("C24", "lmdb", ledger_bit, "ledger_damaged"),
    ("C24", "lmdb", ledger_end, "ledger_lost_its_end"),
    ("C24", "lmdb", lambda root: root.store.generation_bit(), "generation_damaged"),
    ("C28", "redis", lambda root: root.store.loaded_value(), "loaded_generation_differs"),
    ("C28", "redis", lambda root: root.store.meta_gone(), "pointer_lost"),
    ("modes", None, keys_opened, "keys_not_private"),
    ("modes", None, releases_opened, "writable_by_everybody"),
]
OF_TRAILS: list[tuple[str, str | None, Plant, str]] = [
    ("C2/C3", None, lambda root, damage=damage: damage(root.shop), code) for damage, code in DAMAGES.values()
]
NAMES = [f"{row}-{kind}-{getattr(plant, '__name__', code)}" for row, kind, plant, code in OF_ROOT]


@pytest.mark.parametrize(("row", "kind", "plant", "code"), OF_ROOT + OF_TRAILS, ids=[*NAMES, *DAMAGES])
def test_each_planted_damage_is_found_and_mended_by_the_command_that_is_named(make_root, monkeypatch, row, kind, plant, code):
    root = make_root(kind)
    plant(root)
    found = root.wrong()
    assert code in [finding["code"] for finding in found], row
    for _ in range(3):
        if not found:
            break
        assert re.search(r"returnml |chmod ", found[0]["mend"])
        root.run(found[0]["mend"], monkeypatch)
        found = root.wrong()
    assert found == []


def test_another_root_on_the_same_server_is_named_and_gets_a_place_of_its_own(make_root, monkeypatch):
    first = make_root("redis")
    second = rooted(first.path.parent / "second")
    for part in ("landing", "warehouse", "ledger", "replay"):
        shutil.copytree(first.path / part, second / part, dirs_exist_ok=True)
    other = Root(second)
    [finding] = other.wrong()
    assert (finding["code"], first.doctor()["findings"][1:]) == ("store_of_another_root", [])
    published = first.store.backend.published()
    other.run(finding["mend"], monkeypatch)
    assert (other.wrong(), first.store.backend.published()) == ([], published)


def day_taken(root: Root) -> None:
    with closing(open_warehouse(root.paths.warehouse)) as con:
        con.execute("DELETE FROM core.orders")


def delivered_anew(root: Root) -> None:
    [sidecar] = root.paths.landing.rglob("orders/*/0001-*.json")
    file = sidecar.with_suffix(".parquet")
    again = file.with_name(file.name.replace("0001-", "0002-"))
    again.write_bytes(file.read_bytes())
    about = json.loads(sidecar.read_text()) | {"version": 2}
    again.with_suffix(".json").write_text(json.dumps(about))


def landing_bit(root: Root) -> None:
    [file] = root.paths.landing.rglob("orders/*/*.parquet")
    flipped(file, 5)


@pytest.mark.parametrize(
    ("plant", "code", "mend"),
    [
        (day_taken, "partition_changed", "returnml backfill --from 2024-05-01 --to 2024-05-01"),
        (delivered_anew, "not_as_landed", "returnml backfill --from 2024-05-01 --to 2024-05-01"),
        (landing_bit, "landing_damaged", "bring the file and its sidecar back from a backup"),
    ],
)
def test_warehouse_and_landing_are_held_against_each_other(make_root, plant, code, mend):
    root = make_root("lmdb")
    plant(root)
    [finding] = root.wrong()
    assert (finding["code"], finding["mend"].startswith(mend)) == (code, True)


def test_what_comes_from_the_future_is_named(make_root):
    root = make_root("lmdb")
    FileClockDriver(root.paths.replay_clock, instant_us(GO_LIVE))
    found = root.wrong()
    assert {finding["code"] for finding in found} == {"from_the_future"}
    assert any("event 2" in finding["what"] for finding in found)


def test_an_empty_folder_and_a_root_of_before_are_told_apart(tmp_path):
    code = {}
    for name in ("empty", "before"):
        (tmp_path / name).mkdir()
        if name == "before":
            (tmp_path / name / "landing" / "orders").mkdir(parents=True)
        done = CliRunner().invoke(app, ["doctor", "--json", "--data", str(tmp_path / name)])
        [finding] = json.loads(done.stdout)["findings"]
        code[name] = (done.exit_code, finding["code"])
    assert code == {"empty": (1, "no_root"), "before": (1, "root_not_upgraded")}


def test_without_the_line_the_warehouse_is_left_out_and_named(make_root, monkeypatch):
    monkeypatch.setattr("returnml.health.examination.find_spec", lambda name: None)
    found = make_root(None).doctor()
    assert (list(found["left_out"]), len(found["checked"])) == (["warehouse"], 9)
