"""The append-only log: order, rotation, torn tails, damage, one writer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from returnml.ledger.log import LogError, LogWriter, Record, read, segments


def records(first, last):
    return [Record(seq, seq * 10, f"event {seq}".encode()) for seq in range(first, last + 1)]


def test_what_is_appended_is_read_again_in_order(tmp_path):
    with LogWriter(tmp_path) as log:
        log.append(records(1, 3))
        log.append(records(4, 4))
    assert list(read(tmp_path)) == records(1, 4)
    assert list(read(tmp_path, after_seq=2)) == records(3, 4)
    with LogWriter(tmp_path) as log:
        assert (log.last_seq, log.last_known_at_us) == (4, 40)
        log.append(records(5, 5))
    assert list(read(tmp_path, after_seq=4)) == records(5, 5)


def test_segments_rotate_and_reading_starts_at_the_right_one(tmp_path):
    with LogWriter(tmp_path, segment_bytes=60) as log:
        for seq in range(1, 8):
            log.append(records(seq, seq))
    assert [int(s.stem) for s in segments(tmp_path)] == [1, 3, 5, 7]
    for after in range(8):
        assert list(read(tmp_path, after_seq=after)) == records(after + 1, 7)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 120), size=st.sampled_from([50, 1000]))
def test_a_kill_at_any_byte_keeps_whole_records_and_the_log_goes_on(tmp_path_factory, cut, size):
    folder = tmp_path_factory.mktemp("log")
    with LogWriter(folder, segment_bytes=size) as log:
        for seq in range(1, 5):
            log.append(records(seq, seq))
    last = segments(folder)[-1]
    content = last.read_bytes()
    last.write_bytes(content[: max(0, len(content) - cut)])
    kept = list(read(folder))
    assert kept == records(1, len(kept))
    with LogWriter(folder, segment_bytes=size) as log:
        assert log.last_seq == len(kept)
        log.append(records(len(kept) + 1, 6))
    assert list(read(folder)) == records(1, 6)


@pytest.mark.parametrize("at", [0, 5, 30])
def test_damage_before_the_tail_is_an_error_that_names_file_and_byte(tmp_path, at):
    with LogWriter(tmp_path) as log:
        log.append(records(1, 3))
    segment = segments(tmp_path)[0]
    content = bytearray(segment.read_bytes())
    content[at] ^= 0xFF
    segment.write_bytes(content)
    with pytest.raises(LogError, match=rf"{segment.name}, byte 0"):
        list(read(tmp_path))
    with pytest.raises(LogError, match="and records follow"):
        LogWriter(tmp_path)


def test_positions_and_times_must_increase(tmp_path):
    with LogWriter(tmp_path) as log:
        log.append(records(1, 2))
        with pytest.raises(LogError, match="not after record 2"):
            log.append([Record(2, 30, b"")])
        with pytest.raises(LogError, match="not after record 2"):
            log.append([Record(3, 20, b"")])
    assert list(read(tmp_path)) == records(1, 2)


def test_a_second_writer_is_refused(tmp_path):
    with LogWriter(tmp_path), pytest.raises(LogError, match="another process writes this log"):
        LogWriter(tmp_path)


def test_a_failed_write_leaves_nothing_of_the_batch(tmp_path, monkeypatch):
    with LogWriter(tmp_path) as log:
        log.append(records(1, 1))

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("returnml.ledger.log.os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                log.append(records(2, 3))
        log.append(records(2, 2))
    assert list(read(tmp_path)) == records(1, 2)
