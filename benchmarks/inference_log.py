"""What logging an answer costs the event loop and the process: scoring in process, without and with the log.

    python -m benchmarks.inference_log --data data [--requests 3000] [--rate 1000]

Requests are paced (a saturated loop would measure the queue). ``loop us`` is the time between the decoded order and its
scores; ``cpu us`` the processor time of the whole process per request, the writer thread included. Needs a data root
with a deployed release, a published generation and a warehouse (``make demo`` leaves one); the log goes to a
temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.serving import LINES, real_orders
from returnml.features.sets.order_line import ORDER_LINE
from returnml.policy.decisions import Decider
from returnml.policy.document import Policy
from returnml.release.deployment import read_state
from returnml.release.folder import load_release, release_folder
from returnml.settings import DataPaths, ServingSettings, Settings
from returnml.store.live import LiveStore
from returnml.store.lmdb.embedded import LmdbBackend
from returnml.tasks import CHECKOUT
from returnml.tasks.declared import return_risk
from serving.log.inference_log import InferenceLog
from serving.scoring.released_model import Model
from serving.scoring.roster import CHAMPION, Member
from serving.scoring.scorer import Scorer
from serving.wire import Order

WITHOUT = "not logged"


async def paced(
    scorer: Scorer, orders: list[Order], requests: int, rate: float, now_us: int, log: InferenceLog | None
) -> np.ndarray:
    """Microseconds of each request."""
    took = np.empty(requests)
    due = time.perf_counter()
    for i in range(requests):
        due += 1 / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        begun = time.perf_counter_ns()
        scored = scorer.score(orders[i % len(orders)], now_us + i)
        if log is not None:
            await log.record(scored, (time.perf_counter_ns() - begun) // 1_000)
        took[i] = (time.perf_counter_ns() - begun) / 1_000
    return took


def measured(scorer: Scorer, orders: list[Order], options: argparse.Namespace, now_us: int, policy: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=folder, serving=ServingSettings(log_policy="require" if policy == "require" else "shed"))
        log = InferenceLog(settings)
        with log.running():
            used = log if policy != WITHOUT else None
            asyncio.run(paced(scorer, orders, 200, options.rate, now_us, used))
            before = time.process_time()
            took = asyncio.run(paced(scorer, orders, options.requests, options.rate, now_us, used))
            cpu_us = (time.process_time() - before) / options.requests * 1e6
        held = sum(f.stat().st_size for f in Path(folder).rglob("*.log"))
        p50, p99 = np.percentile(took, [50, 99])
        status = log.status()
    size = held / status.written if status.written else 0.0
    return f"{p50:>9,.0f}{p99:>9,.0f}{cpu_us:>9,.0f}{status.written:>9,}{status.shed:>6}{size:>16,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=1000.0)
    options = parser.parse_args()
    paths = DataPaths(options.data)
    store = LiveStore(LmdbBackend(paths.store), ORDER_LINE)
    store.refresh()
    champion = read_state(paths.deployment_state(CHECKOUT)).champion
    if champion is None:
        raise SystemExit(f"{paths.deployment_state(CHECKOUT)}: no release is champion")
    model = Model(load_release(release_folder(paths.releases, champion)), ORDER_LINE)
    scorer = Scorer(Member(return_risk.TASK, CHAMPION, model, Decider(Policy())), store, Settings(data=str(options.data)))
    print(f"{'policy':<12}{'lines':>6}{'loop p50':>9}{'p99 us':>9}{'cpu us':>9}{'logged':>9}{'shed':>6}{'bytes/answer':>16}")
    for lines in LINES:
        orders = [msgspec.convert(order, Order) for order in real_orders(paths, lines)]
        for policy in (WITHOUT, "shed", "require"):
            print(f"{policy:<12}{lines:>6}{measured(scorer, orders, options, store.generation.cut_off_us, policy)}", flush=True)


if __name__ == "__main__":
    main()
