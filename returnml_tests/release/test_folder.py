"""Release folders: atomic, content-named, verified."""

import msgspec
import pytest

from returnml.release.folder import ReleaseError, load_release, write_release
from returnml.release.manifest import Manifest

MANIFEST = Manifest(
    task="return_risk",
    feature_set="order_line",
    feature_set_version=1,
    feature_set_hash="f" * 64,
    inputs=["quantity"],
    cut_off_us=1_700_000_000_000_000,
    training_snapshot="s",
    seed=1,
    parameters={"rounds": 3},
    metrics={"auc": 0.7},
    label={"window_days": 30, "grace_days": 3},
    libraries={"lightgbm": "4.7.0"},
)
FILES = {"model.onnx": b"model", "plots/roc.png": b"png"}


def test_same_content_gives_the_same_release(tmp_path):
    first = write_release(tmp_path, MANIFEST, FILES)
    assert write_release(tmp_path, MANIFEST, FILES) == first
    assert first.version.startswith("return_risk-20231114-")
    assert load_release(first.path).model == b"model"
    assert sorted(p.name for p in tmp_path.iterdir()) == [first.version]


def test_other_content_gives_another_version(tmp_path):
    first = write_release(tmp_path, MANIFEST, FILES)
    assert write_release(tmp_path, MANIFEST, {**FILES, "model.onnx": b"other"}).version != first.version
    assert write_release(tmp_path, msgspec.structs.replace(MANIFEST, seed=2), FILES).version != first.version


def test_a_changed_file_is_refused(tmp_path):
    release = write_release(tmp_path, MANIFEST, FILES)
    (release.path / "model.onnx").write_bytes(b"Model")
    with pytest.raises(ReleaseError, match=r"model\.onnx: its bytes do not match the manifest"):
        load_release(release.path)
    with pytest.raises(ReleaseError, match="do not match"):
        _ = release.model


def test_a_missing_a_foreign_and_an_edited_file_are_refused(tmp_path):
    release = write_release(tmp_path, MANIFEST, FILES)
    (release.path / "extra.txt").write_text("x")
    with pytest.raises(ReleaseError, match=r"extra\.txt: a file that the manifest does not name"):
        load_release(release.path)
    (release.path / "extra.txt").unlink()
    manifest = release.path / "manifest.json"
    original = manifest.read_bytes()
    manifest.write_bytes(original.replace(b"0.7", b"0.9"))
    with pytest.raises(ReleaseError, match="the folder or its manifest was changed"):
        load_release(release.path)
    manifest.write_bytes(original.replace(b': "', b': "\xff', 1))
    with pytest.raises(ReleaseError, match=r"manifest\.json: "):
        load_release(release.path)
    manifest.write_bytes(original)
    (release.path / "plots" / "roc.png").unlink()
    with pytest.raises(ReleaseError, match=r"roc\.png: named by the manifest but not readable"):
        load_release(release.path)


def test_a_release_needs_a_model(tmp_path):
    with pytest.raises(ReleaseError, match=r"needs model\.onnx"):
        write_release(tmp_path, MANIFEST, {})
