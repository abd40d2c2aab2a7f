"""Names that a file says, and what they lead to: only plain files in their own folder are read."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from returnml.files import sha256
from returnml.modeling.data.snapshot import (
    SnapshotError,
    read_snapshot,
    snapshot_folder,
)
from returnml.modeling.fit.variants import VariantError
from returnml.modeling.training.trained import read_trained
from returnml.modeling.training.tuning import (
    BEST_FILE,
    TuningError,
    read_best,
)
from returnml.release.folder import ReleaseError, load_release, release_folder, write_release
from returnml.release.graph import GraphError, refuse_external
from returnml.release.manifest import Manifest
from returnml.release.plain import NotPlain, plain_files, read_plain
from returnml.store.generation_manifest import (
    StoreError,
    read_manifest,
    read_pointer,
)
from returnml_tests.release.test_folder import FILES, MANIFEST
from returnml_tests.serving import shop

OUTSIDE = [
    "../secret",
    "../../secret",
    "/etc/hostname",
    "plots/../../secret",
    "a/b/c",
    "",
    ".",
    "..",
    ".hidden",
    "a\\b",
    "a\0b",
    "a/",
]


def forged(releases: Path, name: str) -> Path:
    """A release whose manifest names a file; its version is right, as of anybody who can write it."""
    release = write_release(releases, MANIFEST, FILES)
    manifest = Manifest(**{f: getattr(release.manifest, f) for f in Manifest.__struct_fields__ if f != "files"} | {
        "files": {**release.manifest.files, name: sha256(b"secret")}
    })  # fmt: skip
    folder = releases / manifest.version
    release.path.rename(folder)
    (folder / "manifest.json").write_bytes(manifest.encode())
    return folder


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path, name: str):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "releases").mkdir()
    with pytest.raises(NotPlain):
        read_plain(tmp_path / "releases", name)
    with pytest.raises(ReleaseError, match="names what is not its own"):
        load_release(forged(tmp_path / "releases", name))
    with pytest.raises(ReleaseError, match="cannot have this file"):
        write_release(tmp_path / "target", MANIFEST, {**FILES, name: b"x"})
    assert not (tmp_path / "target").exists()
    for ask, error in ((release_folder, ReleaseError), (snapshot_folder, SnapshotError)):
        with pytest.raises(error, match="no plain name"):
            ask(tmp_path, name)
    with pytest.raises(VariantError):
        read_trained(tmp_path, name)
    (tmp_path / "current.json").write_text(json.dumps({"generations": [name], "revision": 1}))
    with pytest.raises(StoreError, match="no plain name"):
        read_pointer(tmp_path)


def link(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    other = path.parents[2] / "elsewhere"
    other.write_bytes(content)
    path.symlink_to(other)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("file", ["model.onnx", "plots/roc.png", "manifest.json"])
@pytest.mark.parametrize("damage", [link, pipe, unix_socket])
def test_a_file_that_is_no_plain_file_is_refused(tmp_path: Path, file: str, damage: Callable[[Path], None]):
    release = write_release(tmp_path / "releases", MANIFEST, FILES)
    damage(release.path / file)
    with pytest.raises(ReleaseError, match=r"(a link|no plain file): a release holds plain files only"):
        load_release(release.path)
    if file != "manifest.json":
        with pytest.raises(ReleaseError, match="names what is not its own"):
            release.read(file)


def test_links_to_folders_are_refused(tmp_path: Path):
    release = write_release(tmp_path / "releases", MANIFEST, FILES)
    plots = release.path / "plots"
    plots.rename(tmp_path / "plots")
    plots.symlink_to(tmp_path / "plots")
    with pytest.raises(ReleaseError, match="a link"):
        load_release(release.path)
    plots.unlink()
    (tmp_path / "plots").rename(plots)
    assert load_release(release.path).read("plots/roc.png") == b"png"
    moved = release.path.rename(tmp_path / release.version)
    release.path.symlink_to(moved)
    with pytest.raises(ReleaseError, match="a link"):
        load_release(release.path)


@pytest.mark.parametrize("extra", [os.mkfifo, lambda path: path.symlink_to("/etc")], ids=["pipe", "folder link"])
def test_what_no_manifest_names_is_refused_whatever_it_is(tmp_path: Path, extra: Callable[[Path], None]):
    release = write_release(tmp_path / "releases", MANIFEST, FILES)
    extra(release.path / "extra")
    with pytest.raises(ReleaseError, match="extra: "):
        load_release(release.path)
    with pytest.raises(NotPlain):
        plain_files(release.path)


def test_an_error_says_nothing_of_a_foreign_files_content(tmp_path: Path):
    release = write_release(tmp_path / "releases", MANIFEST, FILES)
    (release.path / "model.onnx").write_bytes(b"secret")
    with pytest.raises(ReleaseError) as refused:
        load_release(release.path)
    assert sha256(b"secret")[:6] not in str(refused.value)


def graph(tensor: TensorProto, where: str) -> bytes:
    """The tensor as an initialiser, in a node's attribute, or in one of a graph inside a node."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    if where == "initialiser":
        built = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [out], [tensor])
    elif where == "attribute":
        built = helper.make_graph([node], "g", [], [out])
    else:
        inner = helper.make_graph([node], "inner", [], [out])
        branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
        built = helper.make_graph([branch], "g", [helper.make_tensor_value_info("c", TensorProto.BOOL, [])], [out])
    return helper.make_model(built, doc_string="location").SerializeToString()


@pytest.mark.parametrize("where", ["initialiser", "attribute", "inner graph"])
def test_a_model_that_keeps_weights_elsewhere_is_refused(tmp_path: Path, where: str):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    inside = graph(tensor, where)
    refuse_external(inside)
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    outside = graph(tensor, where)
    with pytest.raises(GraphError, match="another file"):
        refuse_external(outside)
    with pytest.raises(ReleaseError, match=r"model\.onnx: a tensor of its graph lies in another file"):
        write_release(tmp_path, MANIFEST, {"model.onnx": outside})
    release = write_release(tmp_path, MANIFEST, {"model.onnx": inside})
    manifest = Manifest(**{f: getattr(MANIFEST, f) for f in Manifest.__struct_fields__ if f != "files"} | {
        "files": {"model.onnx": sha256(outside)}
    })  # fmt: skip
    (release.path / "model.onnx").write_bytes(outside)
    (release.path / "manifest.json").write_bytes(manifest.encode())
    with pytest.raises(ReleaseError, match="another file"):
        load_release(release.path.rename(tmp_path / manifest.version))


@pytest.mark.parametrize("model", [b"location", b"\x0a\xff\xff\xff\x7flocation", b"\x80" * 20 + b"location"])
def test_bytes_that_may_name_a_file_and_are_no_graph_are_refused(model: bytes):
    with pytest.raises(GraphError):
        refuse_external(model)


def test_tuned_parameters_and_snapshots_are_plain_files(tmp_path: Path):
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / BEST_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TuningError, match="a link"):
        read_best(tmp_path)
    snapshot = tmp_path / ("a" * 32)
    snapshot.mkdir()
    (snapshot / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SnapshotError, match="a link"):
        read_snapshot(snapshot)


@pytest.mark.parametrize("file", ["data.mdb", "manifest.json"])
def test_a_generation_is_plain_files_of_its_own(tmp_path: Path, file: str):
    from returnml.features.sets.order_line import ORDER_LINE
    from returnml.store.generation import open_current

    generation = shop.publish(tmp_path)
    store = generation.path.parent
    (generation.path / "extra").write_text("x")
    with pytest.raises(StoreError, match="extra: no file of a generation"):
        open_current(store, ORDER_LINE)
    (generation.path / "extra").unlink()
    link(generation.path / file)
    with pytest.raises(StoreError, match="a link"):
        open_current(store, ORDER_LINE)
    if file == "manifest.json":
        with pytest.raises(StoreError, match="a link"):
            read_manifest(generation.path)


def test_no_path_is_made_of_a_name_elsewhere():
    """Names of releases, snapshots and generations become paths in one function each."""
    root = Path(__file__).parents[2]
    joined = re.compile(r"(releases|training(_root)?|store(_root)?|backend\.root) / (?!\"|[A-Z_]+\b|f\"|plain\()([\w.\[\]()]+)")
    made_here = {"manifest.version", "manifest.content_sha256", "generation_name"}
    found = [
        f"{path.relative_to(root)}: {match[0]}"
        for folder in ("returnml", "serving")
        for path in (root / folder).rglob("*.py")
        for match in joined.finditer(path.read_text())
        if not any(match[4].startswith(name) for name in made_here)
    ]
    assert found == []
