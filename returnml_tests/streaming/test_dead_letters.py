"""The log of dead letters: what is kept can be read again, whoever kept it and however large it is."""

import pytest

from returnml.ledger.clock import VirtualClock
from returnml.streaming.dead_letters import DeadLetter, DeadLetterLog, DeadLettersUnavailable, logged


def letter(offset, value=b"{", partition=0):
    return DeadLetter("t", partition, offset, "malformed", "$", "no JSON", None, value)


def test_two_consumers_keep_one_log_and_each_offset_is_listed_once(tmp_path):
    one, two = (DeadLetterLog(tmp_path, VirtualClock(5)) for _ in range(2))
    one.keep([letter(1), letter(2)])
    two.keep([letter(1, partition=1)])
    one.keep([letter(2), letter(3, None)])
    two.keep([letter(4, b"")])
    kept = list(logged(tmp_path))
    assert kept == [letter(1), letter(2), letter(1, partition=1), letter(3, None), letter(4, b"")]


def test_a_value_larger_than_a_record_is_kept_whole(tmp_path):
    large = bytes(range(256)) * (70_000)
    log = DeadLetterLog(tmp_path, VirtualClock(5))
    log.keep([letter(1), letter(2, large), letter(3)])
    assert list(logged(tmp_path)) == [letter(1), letter(2, large), letter(3)]


def test_a_large_value_that_a_kill_cut_off_is_not_listed_until_it_came_again(tmp_path, monkeypatch):
    monkeypatch.setattr("returnml.streaming.dead_letters.PIECE_BYTES", 1_000)
    log = DeadLetterLog(tmp_path, VirtualClock(5))
    log.keep([letter(1), letter(2, bytes(range(256)) * 10)])
    [segment] = tmp_path.glob("*.log")
    segment.write_bytes(segment.read_bytes()[:-1])
    assert list(logged(tmp_path)) == [letter(1)]
    again = DeadLetterLog(tmp_path, VirtualClock(5))
    again.keep([letter(2, bytes(range(256)) * 10)])
    assert list(logged(tmp_path)) == [letter(1), letter(2, bytes(range(256)) * 10)]


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLettersUnavailable, match="dead letters cannot be kept: "):
        DeadLetterLog(tmp_path / "file", VirtualClock(5)).keep([letter(1)])
