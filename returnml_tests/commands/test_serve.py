"""``returnml serve``: what it hands to uvicorn and to the workers' environment."""

import pytest
from typer.testing import CliRunner

from returnml.clock import clock_of
from returnml.commands.refusal import Commands
from returnml.commands.serve import serve
from returnml.settings import load_settings
from returnml_tests.roots import rooted
from returnml_tests.serving import shop

app = Commands()
app.command()(serve)


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The arguments of ``uvicorn.run``; the environment is put back."""
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETURNML_DATA", "")
    monkeypatch.setenv("RETURNML_REPLAY_CLOCK", "")
    monkeypatch.setattr("uvicorn.run", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


def test_options_reach_uvicorn(started, tmp_path):
    result = CliRunner().invoke(app, ["--port", "0", "--workers", "3", "--data", str(rooted(tmp_path))])
    assert result.exit_code == 0, result.output
    [(args, kwargs)] = started
    assert args == ("serving.app:create_worker",)
    assert (kwargs["host"], kwargs["port"], kwargs["workers"], kwargs["factory"]) == ("127.0.0.1", 0, 3, True)


@pytest.mark.parametrize("at", ["cutoff", "2011-06-15", "2011-06-15T02:00:00+02:00"])
def test_the_clock_stands_at_an_instant(started, tmp_path, at):
    shop.publish(tmp_path)
    result = CliRunner().invoke(app, ["--data", str(tmp_path), "--at", at])
    assert result.exit_code == 0, result.output
    assert clock_of(load_settings().replay_clock).now_us() == shop.CUT_OFF_US


@pytest.mark.parametrize(("at", "said"), [("noon", "--at 'noon'"), ("cutoff", "no generation is published")])
def test_a_bad_instant_is_refused(started, tmp_path, at, said):
    result = CliRunner().invoke(app, ["--data", str(rooted(tmp_path)), "--at", at])
    assert result.exit_code == 2
    assert said in result.output
    assert started == []
