"""What is refused or away is one line on stderr and exit code 2, with ``--json`` an object; a defect keeps its traceback."""

import json

import pytest
from typer.testing import CliRunner

from returnml.commands.options import JsonOption
from returnml.commands.refusal import Commands, refused_files
from returnml.errors import Refusal, Unavailable
from returnml.store.backend import StoreUnavailable


def command_that_raises(error: Exception) -> Commands:
    app = Commands()

    @app.command()
    def fails(as_json: JsonOption = False) -> None:
        with refused_files():
            raise error

    return app


@pytest.mark.parametrize(
    "error", [Refusal("no such day"), Unavailable("the server is away"), StoreUnavailable("no reply"), FileNotFoundError("x")]
)
def test_it_is_one_line(error):
    result = CliRunner().invoke(command_that_raises(error), [])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"refused: {error}\n")


def test_it_is_an_object_for_programs():
    result = CliRunner().invoke(command_that_raises(Refusal('a "day"')), ["--json"])
    assert (result.exit_code, result.stdout, json.loads(result.stderr)) == (2, "", {"error": 'a "day"'})


@pytest.mark.parametrize("error", [ValueError("shapes differ"), AssertionError("rows lost"), KeyError("day")])
def test_a_defect_keeps_its_traceback(error):
    result = CliRunner().invoke(command_that_raises(error), [])
    assert result.exception is error
