"""``returnml forget``: what it says and refuses. What forgetting does: ``store/test_forgetting.py``."""

import json

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import VirtualClock
from returnml.privacy.keyring import Keyring
from returnml.settings import DataPaths
from returnml.streaming.dead_letters import DeadLetter, DeadLetterLog, logged
from returnml_tests.roots import rooted


def forget(root, *words):
    return CliRunner().invoke(app, ["forget", *words, "--data", str(root)])


@pytest.fixture
def paths(tmp_path):
    paths = DataPaths(rooted(tmp_path, "pseudonymise"))
    Keyring(paths.keys).register(["anna"])
    messages = [b'{"customer_id": "anna", ', b'{"customer_id": "bert", ']
    letters = [DeadLetter("events", 0, n, "malformed", "$", "no JSON", None, value) for n, value in enumerate(messages)]
    DeadLetterLog(paths.dead_letters, VirtualClock(5)).keep(letters)
    return paths


@pytest.mark.parametrize(("customer", "exit_code"), [("anna", 0), ("bert", 1)])
def test_who_is_forgotten_is_no_longer_in_the_dead_letters_with_a_key_or_without(paths, customer, exit_code):
    done = forget(paths.root, customer, "--by", "a clerk", "--why", "asked by letter")
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (exit_code, "1 dead letters that named them are erased")
    assert not [file for file in paths.dead_letters.iterdir() if customer.encode() in file.read_bytes()]
    assert len([letter for letter in logged(paths.dead_letters) if letter.value is not None]) == 1
    again = forget(paths.root, customer, "--by", "a clerk", "--why", "asked by letter", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (1, {"forgotten": False, "dead_letters": 0})


def test_a_damaged_log_of_dead_letters_is_named_and_keeps_nobody_from_being_forgotten(paths):
    [segment] = paths.dead_letters.glob("*.log")
    content = bytearray(segment.read_bytes())
    content[30] ^= 1
    segment.write_bytes(content)
    done = forget(paths.root, "anna", "--by", "a clerk", "--why", "asked by letter")
    assert (done.exit_code, f"{segment}, byte 0" in done.stderr) == (2, True), done.output
    assert Keyring(paths.keys).find("anna") is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["", "--by", "a clerk", "--why", "asked"], "an id without a character"),
        (["c_" + 20 * "0", "--by", "a clerk", "--why", "asked"], "this is a pseudonym"),
        (["anna", "--by", "a clerk"], "name the customer with --by and --why"),
        (["anna", "--by", "anna", "--why", "asked"], "must not say the customer's id"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(paths, words, told):
    done = forget(paths.root, *words)
    assert (done.exit_code, told in done.stderr) == (2, True), done.output
    assert Keyring(paths.keys).find("anna") is not None
