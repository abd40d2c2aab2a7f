"""Settings: precedence, profiles, and errors that name the field."""

import pytest

from returnml.contracts.rules import EARLIEST, LATEST
from returnml.settings import EARLIEST_YEAR, LATEST_YEAR, SettingsError, load_settings

FILE = """
data = "elsewhere"
[training]
seed = 5
[profiles.prod.training]
rounds = 900
"""


def write(tmp_path, text=FILE):
    path = tmp_path / "returnml.toml"
    path.write_text(text)
    return path


def test_defaults_without_a_file(tmp_path):
    settings = load_settings(tmp_path / "none.toml", {})
    assert (settings.profile, settings.label.window_days, settings.label.grace_days) == ("dev", 30, 3)


def test_argument_over_variable_over_profile_over_file(tmp_path):
    path = write(tmp_path)
    assert load_settings(path, {}).data == "elsewhere"
    prod = load_settings(path, {"RETURNML_PROFILE": "prod", "RETURNML_TRAINING__SEED": "7"})
    assert (prod.training.seed, prod.training.rounds) == (7, 900)
    assert load_settings(path, {"RETURNML_DATA": "v"}).data == "v"
    assert load_settings(path, {"RETURNML_DATA": "v"}, data="a").data == "a"
    assert load_settings(path, {"RETURNML_DATA": "v"}, data=None).data == "v"


def test_a_list_in_a_variable_is_json():
    assert load_settings(None, {"RETURNML_VARIANTS__NAMES": '["plain", "dart"]'}).variants.names == ("plain", "dart")


@pytest.mark.parametrize(
    ("text", "environ", "message"),
    [
        ('[shop]\ntimezone = "Mars"', {}, r"timezone: 'Mars' is no IANA time zone .*\$\.shop"),
        ('first_day = "1900-01-01"', {}, r"first_day: '1900-01-01': expected a year from 1990 to 2099"),
        ('go_live = "20025-01-01"', {}, r"go_live: '20025-01-01', expected e\.g\."),
        ('go_live = "2205-01-01"', {}, r"go_live: '2205-01-01': expected a year"),
        ("[label]\nwindow_days = 3000", {}, r"label\.window_days: 3000: expected 1 to 365"),
        ("[training]\nholdout_days = -1", {}, r">= 1 - at `\$\.training\.holdout_days`"),
        ("[training]\nsede = 1", {}, "sede.*training"),
        ("", {"RETURNML_TRAINING__SEED": "x"}, r"\$\.training\.seed"),
        ("", {"RETURNML_VARIANTS__NAMES": "[plain]"}, "RETURNML_VARIANTS__NAMES.*no JSON list"),
        ("", {"RETURNML_PROFILE": "live"}, "expected one of dev, staging, prod"),
        ("data = ", {}, r"returnml\.toml"),
        ("training = 5", {"RETURNML_TRAINING__SEED": "1"}, "training is a table, 5 stands for it"),
        ("", {"RETURNML_KAFKA": "host:9092", "RETURNML_KAFKA__TOPIC": "t"}, "kafka is a table, 'host:9092' stands for it"),
        ("[tasks.return_risk.training]\nronds = 3", {}, r"tasks\.return_risk: .*ronds"),
        ("[tasks.return_risk.gates]\nmin_auc = 2.0", {}, r"tasks\.return_risk: .*min_auc"),
        ("", {"RETURNML_GO_LIVE": "tomorrow"}, "go_live: 'tomorrow', expected e.g. 2025"),
        ('data = "what?/data"', {}, r"what\?/data: DuckDB opens no database"),
        ('first_day = "1.3.2025"', {}, r"first_day: '1\.3\.2025', expected e.g. 2025"),
    ],
)
def test_errors_name_what_is_wrong(tmp_path, text, environ, message):
    with pytest.raises(SettingsError, match=message):
        load_settings(write(tmp_path, text), environ)


def test_a_task_may_differ(tmp_path):
    text = "[training]\nrounds = 200\nseed = 4\n[tasks.return_risk.training]\nrounds = 50\n"
    settings = load_settings(write(tmp_path, text), {"RETURNML_TASKS__RETURN_RISK__GATES__REQUIRE_APPROVAL": "true"})
    own, other = settings.of_task("return_risk"), settings.of_task("other")
    assert (own.training.rounds, own.training.seed, own.gates.require_approval) == (50, 4, True)
    assert (other.training.rounds, other.gates.require_approval) == (200, False)


def test_the_years_of_settings_are_those_of_the_contract():
    assert (EARLIEST.year, LATEST.year) == (EARLIEST_YEAR, LATEST_YEAR)


def test_the_zone_of_the_shop_is_declared_once(tmp_path):
    assert load_settings(tmp_path / "none", {}).shop.timezone == "UTC"
    assert load_settings(tmp_path / "none", {"RETURNML_SHOP__TIMEZONE": "Europe/Berlin"}).shop.timezone == "Europe/Berlin"


def test_a_profile_or_its_root_that_is_not_declared_is_no_target(tmp_path):
    file = tmp_path / "returnml.toml"
    file.write_text('data = "shared"\n[profiles.staging]\ndata = "own"\n[profiles.prod.gates]\nrequire_approval = true\n')
    assert load_settings(file, {"RETURNML_PROFILE": "staging"}, declared=("data",)).data == "own"
    assert load_settings(file, {"RETURNML_PROFILE": "prod"}).data == "shared"
    with pytest.raises(SettingsError, match=r"\[profiles\.prod\] does not declare `data`"):
        load_settings(file, {"RETURNML_PROFILE": "prod"}, declared=("data",))
    file.write_text('data = "shared"\n')
    with pytest.raises(SettingsError, match=r"profile 'prod' is not declared: there is no \[profiles\.prod\]"):
        load_settings(file, {"RETURNML_PROFILE": "prod"})
    assert load_settings(file, {}).profile == "dev"
