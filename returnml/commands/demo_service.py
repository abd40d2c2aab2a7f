"""Starts the service in a process of its own, has it score one order of the last day, and stops it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from returnml.errors import Refusal
from returnml.privacy.customers import open_customers
from returnml.release.proof import proven_state
from returnml.settings import Settings
from returnml.tasks.declared import customer_risk

START_SECONDS = 60
_OPTIONAL = ("size", "color", "product_group", "brand", "list_price_cents")
_LINE = ("line_id", "article_id", "quantity", "unit_price_cents", *_OPTIONAL)
_ORDER = ("order_id", "customer_id", "currency", "country", "payment_method", "device", "voucher_code")


@dataclass(frozen=True)
class Answer:
    """What was asked, with reasons, and what came back; and how long it took without them.

    Attributes:
        risk: what it says of the riskiest customer; None where nothing decides about customers.
    """

    url: str
    request: dict[str, Any]
    response: dict[str, Any]
    milliseconds: float
    risk: dict[str, Any] | None


def score_one(settings: Settings, port: int | None, customers: Collection[str]) -> Answer:
    """Serve the deployed release, as of the store's cut-off, for as long as one order takes to be scored.

    Args:
        customers: what the shop calls its customers; one of them placed the order. Read twice.
    """
    request = order_of_last_day(settings)
    request["customer_id"] = _shop_id(settings, request["customer_id"], customers)
    riskiest = riskiest_customers(settings, 1)
    riskiest_id = _shop_id(settings, riskiest[0][0], customers) if riskiest else None
    chosen = port or _free_port()
    command = [sys.executable, "-m", "returnml.cli", "serve", "--port", str(chosen), "--at", "cutoff"]
    log = settings.paths.logs / "demo-service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "RETURNML_DATA": str(settings.paths.root)}
    with open(log, "wb") as output:
        service = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            url = f"http://127.0.0.1:{chosen}"
            _await_ready(url, service, log.as_posix())
            _post(f"{url}/v1/score", request)  # the first request warms caches up; the second is what a shop would see
            started = time.perf_counter()
            _post(f"{url}/v1/score", request)
            milliseconds = (time.perf_counter() - started) * 1_000
            request["reasons"] = True
            response = _post(f"{url}/v1/score", request)
            risk = None if riskiest_id is None else _get(f"{url}/v1/customers/{quote(riskiest_id, safe='')}/risk")
            return Answer(url, request, response, milliseconds, risk)
        finally:
            service.terminate()
            service.wait(timeout=20)


def order_of_last_day(settings: Settings) -> dict[str, Any]:
    """The largest order of the last day as its checkout would have sent it, the customer apart; from the published copy."""
    from returnml.warehouse.partition import open_warehouse

    con = open_warehouse(settings.paths.published, read_only=True)
    try:
        rows = con.execute(
            "SELECT * FROM core.orders WHERE order_id = (SELECT order_id FROM core.orders "
            "WHERE known_day = (SELECT max(known_day) FROM core.orders) GROUP BY order_id "
            "HAVING count(*) <= 6 ORDER BY count(*) DESC, order_id LIMIT 1) ORDER BY line_id"
        )
        names = [column[0] for column in rows.description]
        lines = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    finally:
        con.close()
    order = {name: lines[0][name] for name in _ORDER if lines[0][name] is not None}
    return order | {"lines": [{name: line[name] for name in _LINE if line[name] is not None} for line in lines]}


def riskiest_customers(settings: Settings, most: int) -> list[tuple[Any, ...]]:
    """Name, probability, expected cost in cents, currency and action of those with the highest expected cost at the last cut-off.

    From the published copy; empty where nothing decides about customers.
    """
    from returnml.warehouse.partition import open_warehouse

    if proven_state(settings, customer_risk.TASK.name).champion is None:
        return []
    table = customer_risk.TASK.score_table
    con = open_warehouse(settings.paths.published, read_only=True)
    try:
        return con.execute(
            f"SELECT customer_id, probability, expected_cost_cents, currency, action FROM {table} "
            f"WHERE day = (SELECT max(day) FROM {table}) ORDER BY expected_cost_cents DESC, customer_id LIMIT ?",
            [most],
        ).fetchall()
    finally:
        con.close()


def _shop_id(settings: Settings, name: str, customers: Collection[str]) -> str:
    """Only who knows a customer's id can find their name: the tables know the name alone."""
    known = open_customers(settings)
    for customer in customers:
        if known.find(customer) == name:
            return customer
    raise Refusal(f"no customer of the source is {name}: the data root holds another shop's orders too")


def _await_ready(url: str, service: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise Refusal(f"the service ended with code {service.returncode}: see {log}")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise Refusal(f"the service was not ready after {START_SECONDS} s: see {log}")


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    return _get(urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}))


def _get(request: urllib.request.Request | str) -> dict[str, Any]:
    url = request if isinstance(request, str) else request.full_url
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refusal(f"{url} answered {error.code}: {error.read().decode()}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
