"""An older commit beside this code in alternation: online features, point-in-time windows, batch scoring, event intake.

    python -m benchmarks.two_commits [--old 990ecee] [--rounds 9] [--parts online point_in_time scoring intake]

The old commit is checked out into a git worktree of its own. Where its lock asks for other versions, it gets an environment
that has them above this one's. Either side prepares its part in a process of its own, with its own copy of the benchmarks
beside. Each round times every label of a part once on both sides, in changing order. Printed are the median of new/old and
an interval that covers it with at least 95% (order statistics).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.two_commits.parts import PARTS
from benchmarks.two_commits.ratios import median_ratio
from benchmarks.two_commits.side import Side, python_of, timed
from returnml_tests.drills.upgrade import PROJECT, worktree

LIMIT = 1.05


def rounds_of(part: str, sides: tuple[Side, Side], rounds: int, folder: Path, peers: Path) -> list[dict[str, list[float]]]:
    """Seconds of every label, of the old side and of the new one."""
    found: list[dict[str, list[float]]] = [{}, {}]
    with ExitStack() as stack:
        both = [stack.enter_context(timed(side, part, folder / part / side.name, peers)) for side in sides]
        for number in range(-1, rounds):  # the first is not counted
            for labels in zip(*(side.labels for side in both), strict=True):
                for i in (0, 1) if number % 2 else (1, 0):
                    took = both[i].seconds(labels[i])
                    if number >= 0:
                        found[i].setdefault(labels[i], []).append(took)
    return found


def report(part: str, old: dict[str, list[float]], new: dict[str, list[float]]) -> None:
    for (old_label, old_took), (new_label, new_took) in zip(old.items(), new.items(), strict=True):
        label = new_label if new_label == old_label else f"{old_label} -> {new_label}"
        ratio, low, high = median_ratio(old_took, new_took)
        times = f"{median(old_took) * 1e3:>10,.3f}{median(new_took) * 1e3:>10,.3f}"
        print(f"{part}: {label:<58}{times}   {ratio:.3f} [{low:.3f}, {high:.3f}]{'' if high <= LIMIT else f' above {LIMIT}'}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", default="990ecee", help="The commit that this code is held against.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument(
        "--peers", type=Path, default=Path(os.environ.get("PEERS_BENCH", Path(__file__).parents[3] / "shared/peers/bench"))
    )
    options = parser.parse_args()
    with worktree(options.old) as code, tempfile.TemporaryDirectory(prefix="returnml-commits-") as name:
        folder = Path(name)
        sides = (Side("old", code, python_of(code, folder / "environment")), Side("new", PROJECT, Path(sys.executable)))
        print(f"{options.old} and this code, {options.rounds} rounds; ms of the old one, ms of the new one, new/old")
        for part in options.parts:
            old, new = rounds_of(part, sides, options.rounds, folder, options.peers.resolve())
            report(part, old, new)


if __name__ == "__main__":
    main()
