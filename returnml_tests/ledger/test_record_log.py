"""The append-only log: order, rotation, torn tails, damage, one writer."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.ledger.record_log import (
    LogError,
    LogWriter,
    Position,
    Record,
    first_record,
    last_record,
    read,
    read_between,
    segments,
)
from returnml_tests.waiting import PATIENCE_SECONDS


def records(first, last):
    return [Record(seq, seq * 10, f"event {seq}".encode()) for seq in range(first, last + 1)]


class Log:
    """A writer that remembers its position, as the store does."""

    def __init__(self, folder, segment_bytes=64 << 20):
        self.writer = LogWriter(folder, segment_bytes)
        with self.writer.turn():
            self.found, self.position = self.writer.tail(Position())

    def append(self, appended):
        with self.writer.turn():
            self.position = self.writer.append(appended, self.position)


def test_what_is_appended_is_read_again_in_order(tmp_path):
    log = Log(tmp_path)
    log.append(records(1, 3))
    log.append(records(4, 4))
    assert list(read(tmp_path)) == records(1, 4)
    assert list(read(tmp_path, after_seq=2)) == records(3, 4)
    again = Log(tmp_path)
    assert (again.found, again.position) == (records(1, 4), log.position)
    again.append(records(5, 5))
    assert list(read(tmp_path, after_seq=4)) == records(5, 5)


def test_a_writer_finds_what_another_appended_since(tmp_path):
    one, two = Log(tmp_path, 60), Log(tmp_path, 60)
    one.append(records(1, 1))
    for seq in range(2, 5):
        one.append(records(seq, seq))
    with two.writer.turn():
        found, position = two.writer.tail(two.position)
        assert (found, position) == (records(1, 4), one.position)
        assert two.writer.tail(position) == ([], position)
        two.writer.append(records(5, 5), position)
    assert list(read(tmp_path)) == records(1, 5)


def test_only_one_writer_has_its_turn(tmp_path):
    code = "import sys, pathlib; from returnml.ledger.record_log import LogWriter\nlog = LogWriter(pathlib.Path(sys.argv[1]))"
    code += "\nprint(0, flush=True)\nwith log.turn(): print(1)"
    with LogWriter(tmp_path).turn():
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}
        )
        assert other.stdout.readline() == b"0\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate(timeout=PATIENCE_SECONDS)[0] == b"1\n"


def test_segments_rotate_and_reading_starts_at_the_right_one(tmp_path):
    log = Log(tmp_path, segment_bytes=60)
    for seq in range(1, 8):
        log.append(records(seq, seq))
    assert [int(s.stem) for s in segments(tmp_path)] == [1, 3, 5, 7]
    for after in range(8):
        assert list(read(tmp_path, after_seq=after)) == records(after + 1, 7)


@settings(max_examples=60)
@given(cut=st.integers(0, 120), size=st.sampled_from([50, 1000]))
def test_a_kill_at_any_byte_keeps_whole_records_and_the_log_goes_on(tmp_path_factory, cut, size):
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder, segment_bytes=size)
    for seq in range(1, 5):
        log.append(records(seq, seq))
    last = segments(folder)[-1]
    content = last.read_bytes()
    last.write_bytes(content[: max(0, len(content) - cut)])
    kept = list(read(folder))
    assert kept == records(1, len(kept))
    log = Log(folder, segment_bytes=size)
    assert log.found == kept
    log.append(records(len(kept) + 1, 6))
    assert list(read(folder)) == records(1, 6)


@pytest.mark.parametrize("at", [0, 5, 30])
def test_damage_before_the_tail_is_an_error_that_names_file_and_byte(tmp_path, at):
    Log(tmp_path).append(records(1, 3))
    segment = segments(tmp_path)[0]
    content = bytearray(segment.read_bytes())
    content[at] ^= 0xFF
    segment.write_bytes(content)
    with pytest.raises(LogError, match=rf"{segment.name}, byte 0"):
        list(read(tmp_path))
    with pytest.raises(LogError, match="and records follow"):
        Log(tmp_path)


def test_a_log_shorter_than_what_was_acknowledged_is_an_error(tmp_path):
    log = Log(tmp_path)
    log.append(records(1, 2))
    segments(tmp_path)[0].write_bytes(b"")
    with pytest.raises(LogError, match="that was acknowledged"):
        log.writer.tail(log.position)
    segments(tmp_path)[0].unlink()
    with pytest.raises(LogError, match="segment 1 is missing"):
        log.writer.tail(log.position)


def test_positions_and_times_must_increase(tmp_path):
    log = Log(tmp_path)
    log.append(records(1, 2))
    with pytest.raises(LogError, match="not after record 3"):
        log.append([*records(3, 3), Record(3, 50, b"")])
    with pytest.raises(LogError, match="not after record 3"):
        log.append([*records(3, 3), Record(4, 30, b"")])
    assert list(read(tmp_path)) == records(1, 2)


def test_a_failed_write_leaves_nothing_of_the_batch(tmp_path, monkeypatch):
    log = Log(tmp_path)
    log.append(records(1, 1))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("returnml.ledger.record_log.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            log.append(records(2, 3))
    log.append(records(2, 2))
    assert list(read(tmp_path)) == records(1, 2)


@settings(max_examples=25)
@given(st.integers(1, 8), st.integers(40, 200), st.integers(0, 90), st.integers(0, 90))
def test_records_of_a_span_are_those_of_all_that_lie_in_it(tmp_path_factory, count, segment_bytes, begin, end):
    folder = tmp_path_factory.mktemp("log")
    log = Log(folder, segment_bytes)
    for record in records(1, count):
        log.append([record])
    found = [record for _, record in read_between(folder, begin, end)]
    assert found == [record for record in read(folder) if begin <= record.known_at_us < end]
    before = [record for record in read(folder) if record.known_at_us < end]
    assert last_record(folder, end) == (before[-1] if before else None)
    assert (first_record(folder), last_record(folder)) == (records(1, 1)[0], records(count, count)[0])


def test_a_segment_that_a_kill_left_without_a_whole_record_is_not_there_yet(tmp_path):
    assert (first_record(tmp_path), last_record(tmp_path), list(read_between(tmp_path, 0, 99))) == (None, None, [])
    log = Log(tmp_path, 1)
    for record in records(1, 3):
        log.append([record])
    *_, last = segments(tmp_path)
    last.write_bytes(last.read_bytes()[:-1])
    assert [record.seq for _, record in read_between(tmp_path, 0, 99)] == [1, 2]
    assert last_record(tmp_path) == records(2, 2)[0]


def test_a_damaged_first_record_is_an_error_wherever_its_time_is_asked_for(tmp_path):
    log = Log(tmp_path, 1)
    for record in records(1, 3):
        log.append([record])
    _, middle, _ = segments(tmp_path)
    content = bytearray(middle.read_bytes())
    content[-1] ^= 1
    middle.write_bytes(content)
    with pytest.raises(LogError, match=f"{middle.name}, byte 0"):
        list(read_between(tmp_path, 0, 99))
    with pytest.raises(LogError, match=f"{middle.name}, byte 0"):
        last_record(tmp_path, before_us=25)
