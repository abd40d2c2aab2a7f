"""The clock that a file holds: one time for all processes."""

import subprocess
import sys

import pytest

from returnml.clock import (
    ClockError,
    FileClock,
    FileClockDriver,
    SystemClock,
    clock_of,
)

FOLLOW = """
import sys
from pathlib import Path
from returnml.clock import FileClock
clock = FileClock(Path(sys.argv[1]))
for _ in sys.stdin:
    print(clock.now_us(), flush=True)
"""


def test_every_process_follows_the_driver(tmp_path):
    driver = FileClockDriver(tmp_path / "clock", 1_300_000_000_000_000)
    command = [sys.executable, "-c", FOLLOW, str(tmp_path / "clock")]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for now_us in (1_300_000_000_000_000, 1_300_000_000_000_001, 1_400_000_000_000_000):
            driver.advance_to(now_us)
            for other in others:
                other.stdin.write("\n")
                other.stdin.flush()
                assert int(other.stdout.readline()) == now_us
    finally:
        for other in others:
            other.communicate()


def test_time_does_not_go_back(tmp_path):
    driver = FileClockDriver(tmp_path / "clock", 10)
    with pytest.raises(ValueError, match="does not go back"):
        driver.advance_to(9)
    assert FileClock(tmp_path / "clock").now_us() == 10


def test_a_new_clock_leaves_the_followers_of_the_old_one_alone(tmp_path):
    FileClockDriver(tmp_path / "clock", 10)
    old = FileClock(tmp_path / "clock")
    FileClockDriver(tmp_path / "clock", 5)
    assert (old.now_us(), FileClock(tmp_path / "clock").now_us()) == (10, 5)


@pytest.mark.parametrize("content", [None, b"", b"123", b"123456789"])
def test_what_is_no_clock_is_refused(tmp_path, content):
    path = tmp_path / "clock"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClockError, match=str(path)):
        clock_of(str(path))


def test_without_a_file_it_is_the_machines_clock():
    assert isinstance(clock_of(None), SystemClock)


def test_a_follower_cannot_move_it(tmp_path):
    FileClockDriver(tmp_path / "clock", 10)
    with pytest.raises(TypeError):
        FileClock(tmp_path / "clock")._instant[0] = 11
