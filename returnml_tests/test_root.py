"""A data root's identity: who makes one, who refuses a folder that is none, and that nothing is made there."""

import json

import dagster as dg
import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.pipeline.location import build_defs
from returnml.privacy.customers import open_customers
from returnml.privacy.keyring import DATABASE_FILE, MASTER_FILE, Keyring, KeyringError
from returnml.privacy.root_making import adopt_root, make_root
from returnml.root import ROOT_FILE, NotUpgraded, RootError, read_root
from returnml.settings import PrivacySettings, Settings
from returnml.store.backend_choice import open_backend
from returnml.store.generation_manifest import StoreError
from returnml.store.inlet import EventInlet, EventsUnavailable
from returnml.tasks.live_sets import FEATURE_SETS
from returnml_tests.roots import rooted, same_root

COMMANDS = [
    ["status"],
    ["run"],
    ["backfill", "--from", "2025-01-01", "--to", "2025-01-02"],
    ["data", "log"],
    ["data", "diff", "2025-01-01", "orders"],
    ["store", "status"],
    ["store", "publish"],
    ["store", "verify"],
    ["store", "rebuild"],
    ["release", "list"],
    ["release", "reconcile"],
    ["logs", "prune", "--keep-days", "3"],
    ["tune"],
    ["consume"],
    ["dead-letters"],
    ["score", "2025-01-01"],
    ["publish-scores", "--day", "2025-01-01"],
    ["explain", "x"],
    ["replay", "x"],
    ["forget", "anna", "--by", "a clerk", "--why", "asked"],
    ["serve"],
    ["dev"],
]


def settings(root, customer_ids="pseudonymise"):
    return Settings(data=str(root), privacy=PrivacySettings(customer_ids))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_folder_that_is_no_root_is_refused_and_nothing_is_made_there(words, tmp_path):
    folder = tmp_path / "nowhere"
    refused = CliRunner().invoke(app, [*words, "--data", str(folder)])
    assert (refused.exit_code, "is no data root" in refused.stderr, folder.exists()) == (2, True, False), refused.output
    folder.mkdir()
    refused = CliRunner().invoke(app, [*words, "--data", str(folder)])
    assert (refused.exit_code, list(folder.iterdir())) == (2, [])


def test_simulating_makes_a_root_with_a_keyring_once(tmp_path):
    words = ["simulate", "--days", "2", "--lines-per-day", "5", "--data", str(tmp_path / "data")]
    assert CliRunner().invoke(app, words).exit_code == 0
    first = (tmp_path / "data" / ROOT_FILE).read_bytes()
    said = json.loads(first)
    assert (said["layout"], said["made_by"].endswith(": simulate"), len(said["root_id"])) == (1, True, 32)
    assert said["keyring"] == Keyring(tmp_path / "data" / "keys").fingerprint
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "data" / ROOT_FILE).read_bytes() == first


def test_a_lost_or_foreign_keyring_is_named_and_not_made_anew(tmp_path):
    root, other = rooted(tmp_path / "a", "pseudonymise"), rooted(tmp_path / "b", "pseudonymise")
    keys = settings(root).paths.keys
    keys.rename(tmp_path / "kept")
    for words in (["import", "online-retail", str(tmp_path)], ["simulate", "--days", "1"]):
        refused = CliRunner().invoke(app, [*words, "--data", str(root)])
        assert (refused.exit_code, "there is no keyring" in refused.stderr, keys.exists()) == (2, True, False), refused.output
    with pytest.raises(EventsUnavailable, match="there is no keyring"):
        EventInlet(settings(root), FEATURE_SETS[0], VirtualClock(1)).submit([])
    assert not keys.exists()
    settings(other).paths.keys.rename(keys)
    with pytest.raises(KeyringError, match="every customer would be a stranger"):
        open_customers(settings(root))
    (keys / DATABASE_FILE).unlink()
    with pytest.raises(KeyringError, match=f"{DATABASE_FILE}: is missing"):
        open_customers(settings(root))
    assert [file.name for file in keys.iterdir() if file.name in (MASTER_FILE, DATABASE_FILE)] == [MASTER_FILE]


def test_a_root_has_names_of_one_kind_from_the_start(tmp_path):
    one, two = rooted(tmp_path / "one", "pseudonymise"), rooted(tmp_path / "two", "as_delivered")
    with pytest.raises(KeyringError, match="a keyring from the start"):
        open_customers(settings(one, "as_delivered"))
    with pytest.raises(KeyringError, match="as delivered from the start"):
        open_customers(settings(two, "pseudonymise"))
    assert open_customers(settings(one)).is_mapped
    assert not open_customers(settings(two, "as_delivered")).is_mapped


def test_a_root_of_a_version_before_is_named_and_is_given_its_identity(tmp_path):
    of = settings(tmp_path)
    (of.paths.landing / "orders").mkdir(parents=True)
    Keyring(of.paths.keys, is_created=True).close()
    for words in (["status"], ["simulate"]):
        refused = CliRunner().invoke(app, [*words, "--data", str(tmp_path)])
        assert (refused.exit_code, "returnml upgrade" in refused.stderr) == (2, True), refused.output
    with pytest.raises(NotUpgraded):
        make_root(of, "import", VirtualClock(0))
    with pytest.raises(StoreError, match="returnml upgrade"):
        open_backend(of)
    adopted = adopt_root(of, "upgrade", VirtualClock(5))
    assert adopted == read_root(tmp_path) == adopt_root(of, "upgrade", VirtualClock(9))
    assert adopted.keyring == Keyring(of.paths.keys).fingerprint
    assert CliRunner().invoke(app, ["status", "--data", str(tmp_path)]).exit_code == 0


def test_no_identity_is_given_to_what_has_no_data_or_lost_its_keyring(tmp_path):
    with pytest.raises(RootError, match="has no landing files, ledger or warehouse"):
        adopt_root(settings(tmp_path), "upgrade", VirtualClock(0))
    settings(tmp_path).paths.ledger.mkdir()
    with pytest.raises(KeyringError, match="there is no keyring"):
        adopt_root(settings(tmp_path), "upgrade", VirtualClock(0))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ledger"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "truncated"), ('{"root_id": "x"}', "missing required field"), (None, "layout 99, made by")],
)
def test_an_identity_that_cannot_be_read_is_refused(tmp_path, content, said):
    rooted(tmp_path)
    path = tmp_path / ROOT_FILE
    path.write_text(content or path.read_text().replace('"layout": 1', '"layout": 99'))
    with pytest.raises(RootError, match=said):
        read_root(tmp_path)


def test_a_second_host_is_the_same_root(tmp_path):
    one = rooted(tmp_path / "one")
    assert read_root(same_root(tmp_path / "two", one)) == read_root(one)


def test_definitions_load_without_a_root_and_runs_say_that_there_is_none(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "DAGSTER_STORAGE"):
        monkeypatch.setenv(name, "")
    folder = tmp_path / "nowhere"
    defs = build_defs(Settings(data=str(folder)))
    dg.Definitions.validate_loadable(defs)
    job = defs.resolve_job_def("daily_job")
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.DagsterError) as failed:
        job.execute_in_process(
            instance=instance,
            tags={"dagster/asset_partition_range_start": "2025-01-01", "dagster/asset_partition_range_end": "2025-01-01"},
        )
    assert "is no data root" in str(failed.value.__cause__)
    assert not (folder / "warehouse").exists()
