"""The log of dead letters: what is kept can be read again, whoever kept it and however large it is."""

import pytest

from returnml.clock import VirtualClock
from returnml.streaming.dead_letters import DeadLetter, DeadLetterLog, DeadLettersUnavailable, logged
from returnml.streaming.letter_erasure import ERASED, erase_customer


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


def test_a_forgotten_customer_is_erased_wherever_a_letter_names_them(tmp_path, monkeypatch):
    monkeypatch.setattr("returnml.streaming.dead_letters.PIECE_BYTES", 100)
    log = DeadLetterLog(tmp_path, VirtualClock(5))
    named = [
        b'{"customer_id": "J\xc3\xbcrgen-7"',
        b'{"customer_id": "J\\u00fcrgen-7"}',
        b'{"customer_id":\n\\n"J\xfcrgen-7"}',
        'customer "Jürgen-7"'.encode("utf-16"),
        b"x" * 1_000 + " Jürgen-7".encode(),
    ]
    other = [b'{"customer_id": "J\xc3\xbcrgen-71"}', b"Juergen-7", b"\xff\xfe\x00", b"", None]
    log.keep([letter(n, value) for n, value in enumerate(named)])
    log.keep([letter(10 + n, value) for n, value in enumerate(other)])
    log.keep([DeadLetter("t", 0, 20, "malformed", "$", "no JSON", "Jürgen-7".encode(), b"{")])
    assert erase_customer(tmp_path, "Jürgen-7") == 6
    erased = [DeadLetter("t", 0, n, "malformed", "$", ERASED, None, None) for n in (*range(5), 20)]
    assert list(logged(tmp_path)) == [*erased[:5], *(letter(10 + n, value) for n, value in enumerate(other)), erased[5]]
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"rgen-7" in files.replace(b"rgen-71", b"")  # of Juergen
    assert not [name for name in ('J\xfcrgen-7"'.encode(), b"J\xfcrgen-7", "Jürgen-7".encode("utf-16-le")) if name in files]
    assert erase_customer(tmp_path, "Jürgen-7") == 0


def test_erasing_holds_up_no_consumer(tmp_path):
    log = DeadLetterLog(tmp_path, VirtualClock(5))
    log.keep([letter(1, b"anna " * 1_000), letter(2)])
    assert erase_customer(tmp_path, "anna") == 1
    log.keep([letter(3)])
    DeadLetterLog(tmp_path, VirtualClock(5)).keep([letter(4)])
    assert [kept.offset for kept in logged(tmp_path)] == [1, 2, 3, 4]


def test_where_there_are_no_dead_letters_nothing_is_made(tmp_path):
    assert erase_customer(tmp_path / "dead_letters", "anna") == 0
    assert not (tmp_path / "dead_letters").exists()
