"""``returnml release`` and the Dagster jobs of the same names, on two data roots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.release.deployment import read_state
from returnml.release.folder import Release, write_release
from returnml.release.proof import prove_trail
from returnml.release.transitions import settle
from returnml.settings import DataPaths, Settings
from returnml_tests.roots import rooted
from returnml_tests.serving.shop import manifest


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["release", *arguments])


def said(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[DataPaths, DataPaths]:
    dev, prod = tmp_path / "dev", tmp_path / "prod"
    (tmp_path / "returnml.toml").write_text(
        f'[profiles.dev]\ndata = "{dev}"\n[profiles.prod]\ndata = "{prod}"\n[profiles.prod.gates]\nrequire_approval = true\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETURNML_DATA", raising=False)
    return DataPaths(rooted(dev)), DataPaths(rooted(prod))


def write(paths: DataPaths, seed: int, require_approval: bool, **changed: object) -> Release:
    release = write_release(paths.releases, manifest(seed=seed, **changed), {"model.onnx": b"m%d" % seed})
    settle(paths.deployment_state("return_risk"), release, require_approval, "test", VirtualClock(1))
    return release


def test_from_dev_to_prod_by_hand(roots: tuple[DataPaths, DataPaths], monkeypatch: pytest.MonkeyPatch):
    dev, prod = roots
    good = write(dev, 1, False, metrics={"auc": 0.7, "log_loss": 0.5, "maturity_days": 33.0, "mature_share": 1.0})
    bad = write(dev, 2, False, compared_with=good.version, rejected=["calibrated"])

    listed = {row["version"]: row for row in json.loads(said("list", "--json"))}
    assert listed[good.version]["role"] == "champion"
    assert listed[bad.version]["rejected"] == ["calibrated"]
    assert "rejected: calibrated" in said("list")
    assert "AUC 0.7000  log loss 0.5000  at 33 days, 100% mature  champion" in said("list")
    assert "make_champion by test" in said("show", good.version)
    changed = json.loads(said("diff", good.version, bad.version, "--json"))
    assert changed["seed"] == [1, 2]
    assert changed["metrics.auc"] == [0.7, None]

    out = said("promote", good.version, "--to", "prod", "--by", "ann", "--why", "a good week")
    assert "pending" in out
    monkeypatch.setenv("RETURNML_PROFILE", "prod")
    out = said("approve", good.version, "--by", "bea", "--why", "checked")
    assert "decides (revision 2)" in out
    assert "does not know the champion" in out
    assert read_state(prod.deployment_state("return_risk")).champion == good.version
    assert [(r.action, r.by) for r in prove_trail(prod.deployment_state("return_risk")).records] == [
        ("make_pending", "ann"),
        ("approve", "bea"),
    ]
    assert read_state(dev.deployment_state("return_risk")).revision == 1


def test_a_damaged_release_does_not_hide_the_others(roots: tuple[DataPaths, DataPaths]):
    dev, _ = roots
    good, torn = write(dev, 1, False), write(dev, 2, False)
    (torn.path / "model.onnx").write_bytes(b"")
    result = run("list")
    assert result.exit_code == 1
    assert good.version in result.stdout
    assert f"damaged  {torn.version} (pending): " in result.stderr
    assert "model.onnx" in result.stderr
    assert [row["version"] for row in json.loads(run("list", "--json").stdout)] == [good.version]


@pytest.mark.parametrize(("by", "why", "blank"), [(" ", "checked", "by"), ("ann", "", "why")])
def test_a_word_without_a_name_or_a_reason_is_refused(roots: tuple[DataPaths, DataPaths], by: str, why: str, blank: str):
    dev, _ = roots
    waiting = write(dev, 1, True)
    for word in ("approve", "reject"):
        result = run(word, waiting.version, "--by", by, "--why", why)
        assert result.exit_code == 2
        assert f"`{blank}` is blank" in result.stderr
    assert read_state(dev.deployment_state("return_risk")).pending == waiting.version


def test_what_cannot_be_done_is_refused_in_one_line(roots: tuple[DataPaths, DataPaths]):
    dev, _ = roots
    good = write(dev, 1, False)
    for arguments, message in (
        (("approve", good.version, "--by", "a", "--why", "b"), "is not pending"),
        (("reject", "none", "--by", "a", "--why", "b"), "no readable manifest.json"),
        (("promote", good.version, "--to", "moon", "--by", "a", "--why", "b"), "staging or prod"),
        (("rebuild", good.version), "its snapshot"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert message in result.output
        assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize("prod", ["", "[profiles.prod]\n", "[profiles.prod]\n[profiles.prod.serving]\nworkers = 2\n"])
def test_a_target_that_is_not_declared_gets_nothing(roots: tuple[DataPaths, DataPaths], prod: str):
    dev, _ = roots
    good = write(dev, 1, False)
    Path("returnml.toml").write_text(f'data = "{dev.root}-default"\n[profiles.dev]\ndata = "{dev.root}"\n{prod}')
    before = set(dev.root.parent.rglob("*"))
    result = run("promote", good.version, "--to", "prod", "--by", "a", "--why", "b")
    assert result.exit_code == 2
    assert "[profiles.prod]" in result.stderr
    assert set(dev.root.parent.rglob("*")) == before


def test_the_jobs_say_the_same(tmp_path: Path):
    from returnml.pipeline.location import build_defs

    settings = Settings(data=str(rooted(tmp_path)))
    first = write(settings.paths, 1, True)
    defs = build_defs(settings)

    def say(job: str, op: str, version: str) -> bool:
        config = {"ops": {op: {"config": {"version": version, "by": "ann", "why": "because"}}}}
        return defs.resolve_job_def(job).execute_in_process(run_config=config, raise_on_error=False).success

    assert say("release_reject", "reject_release", first.version)
    second = write(settings.paths, 2, True)
    assert say("release_approve", "approve_release", second.version)
    assert not say("release_approve", "approve_release", first.version)
    assert defs.resolve_job_def("release_reconcile").execute_in_process().success
    state = settings.paths.deployment_state("return_risk")
    assert read_state(state).champion == second.version
    assert [(r.action, r.by) for r in prove_trail(state).records] == [
        ("make_pending", "test"),
        ("reject", "ann"),
        ("make_pending", "test"),
        ("approve", "ann"),
    ]
