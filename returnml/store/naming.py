"""Takes the shop's customer ids out of events that are about to be judged, inside the writer's turn.

Inside, because then no event slips in between a customer's last event and their erasure, a repeated event registers
nobody again, and what a return says of a line that is known lies under the line's own customer, whoever it names: a new
pseudonym beside the line of somebody forgotten would link the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from returnml.ledger.events import AnyEvent, InspectionCompleted, OrderPlaced, ReturnReceived
from returnml.ledger.validator import Verdict
from returnml.privacy.customers import IS_PSEUDONYM, CustomerIds
from returnml.privacy.keyring import is_pseudonym

Owner = Callable[[str], str | None]
"""The customer of an order line that is known."""


class Naming:
    """The customers of one batch.

    Args:
        customers: what customer ids become.
        events: of the batch, without those that were taken in before. Their new customers are registered together.
    """

    def __init__(self, customers: CustomerIds, events: Sequence[AnyEvent], owner: Owner) -> None:
        self._customers = customers
        self._known = owner
        self._names = dict(customers.register(_named(events, self._owner))) if customers.is_mapped else {}

    def __call__(self, event: AnyEvent) -> AnyEvent:
        """The event as the ledger keeps it."""
        if not self._customers.is_mapped:
            return event
        if isinstance(event, OrderPlaced):
            return msgspec.structs.replace(event, customer_id=self._name(event.customer_id))
        if isinstance(event, ReturnReceived):
            owner = None if event.line_id is None else self._owner(event.line_id)
            if owner is not None or event.customer_id is not None:
                return msgspec.structs.replace(event, customer_id=owner or self._name(event.customer_id or ""))
        return event

    def _owner(self, line_id: str) -> str | None:
        return self._known(line_id) or self._customers.forgotten_line(line_id)

    def _name(self, customer_id: str) -> str:
        if _is_nobody(customer_id):
            return customer_id
        # A return of a line whose order was refused a moment ago was not foreseen.
        return self._names.get(customer_id) or self._customers.register([customer_id])[customer_id]


def _named(events: Sequence[AnyEvent], owner: Owner) -> list[str]:
    """Who is named as a customer; not by a return whose line says it. A blank id, or a pseudonym, names nobody: it is refused."""
    lines: set[str] = set()
    named: list[str] = []
    for event in events:
        if isinstance(event, OrderPlaced):
            named.append(event.customer_id)
            lines.update(line.line_id for line in event.lines)
        elif isinstance(event, ReturnReceived) and event.customer_id is not None:
            line_id = event.line_id
            is_known = line_id is not None and (line_id in lines or owner(line_id) is not None)
            named += [] if is_known else [event.customer_id]
    return [customer_id for customer_id in named if not _is_nobody(customer_id)]


def misnamed(event: AnyEvent, customers: CustomerIds) -> Verdict | None:
    """The refusal of an event that names its customer by a pseudonym, where the shop's own ids are asked for."""
    problem = None if isinstance(event, InspectionCompleted) else customers.misnamed(event.customer_id)
    return None if problem is None else Verdict(IS_PSEUDONYM, "customer_id", problem)


def _is_nobody(customer_id: str) -> bool:
    return not customer_id.strip() or is_pseudonym(customer_id)
