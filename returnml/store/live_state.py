"""What the live environment holds over its generation, and how one event changes it.

The state is a function of the generation and of the events after it: tiles, what is known of order lines, and which
returns and inspections there are. Publishing builds it anew. Changes are collected and written once a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from returnml.features.sets.shop import KEY_COLUMNS
from returnml.features.tiles.live_tiles import LiveTiles
from returnml.ledger.events import AnyEvent, InspectionCompleted, LedgerEvent, OrderPlaced, ReturnReceived
from returnml.ledger.validator import KnownLine, Link, Verdict, WaitingReturn
from returnml.store.backend import STATE, Published, Transaction
from returnml.store.event_rows import (
    ORDERS_TABLE,
    RETURNS_TABLE,
    Row,
    StoredLine,
    line_keys,
    linked_row,
    order_rows,
    return_row,
    waiting_return,
)
from returnml.store.generation_manifest import StoreError
from returnml.store.keys import CURRENCY, INSPECTIONS, LINES, LISTS, RETURNS, WAITING, encode_key

Parts = tuple[str, ...]

_ENCODE = msgspec.msgpack.Encoder().encode
_CUSTOMER = "customer_id"
_DECODE_WAITING = msgspec.msgpack.Decoder(list[WaitingReturn]).decode
_DECODE_LINE = msgspec.msgpack.Decoder(StoredLine).decode


class LiveState:
    """The state inside one writing transaction; also what the validator asks (``validator.Known``).

    Args:
        currency: that the shop declares; asked for by the validator alone.
    """

    def __init__(self, transaction: Transaction, generation: Published, currency: str | None = None) -> None:
        self._declared = currency
        self._transaction = transaction
        self.generation = generation
        self._layout = generation.manifest.layout
        self._names = line_keys(group.group for group in self._layout.groups)
        self._tiles = [LiveTiles(group) for group in self._layout.live]
        self._changed: dict[bytes, bytes] = {}
        self._history: dict[bytes, bytes | None] = {}

    def prepare(self, events: Sequence[LedgerEvent]) -> None:
        """Fetch at once what taking these events in will ask for: where each answer is a journey, they are many."""
        if not self._transaction.is_remote:
            return
        keys: list[bytes] = []
        for event in events:
            if isinstance(event, OrderPlaced):
                keys += [encode_key(section, (line.line_id,)) for section in (LINES, WAITING) for line in event.lines]
            elif isinstance(event, InspectionCompleted):
                keys += [encode_key(INSPECTIONS, (event.inspection_id,)), encode_key(RETURNS, (event.return_id,))]
            elif isinstance(event, ReturnReceived):
                keys.append(encode_key(RETURNS, (event.return_id,)))
                if event.line_id is not None:
                    keys += [encode_key(section, (event.line_id,)) for section in (LINES, WAITING)]
        keys.append(CURRENCY)
        self._transaction.load(STATE, keys)
        self._history = dict(zip(keys, self.generation.read(keys), strict=True))

    def line(self, line_id: str) -> KnownLine | None:
        stored = self._line(line_id)
        if stored is None:
            return None
        return KnownLine(stored.ordered_at_us, stored.quantity, stored.returned_quantity)

    def owner(self, line_id: str) -> str | None:
        """The customer of an order line that is known."""
        stored = self._line(line_id)
        return None if stored is None else stored.keys[KEY_COLUMNS.index(_CUSTOMER)]

    @property
    def currency(self) -> str | None:
        """The currency of all amounts.

        Raises:
            StoreError: where the store holds amounts in another one than the shop declares.
        """
        held = self._get(CURRENCY)
        if held is None:
            return self._declared
        if self._declared not in (None, held.decode()):
            raise StoreError(
                f"shop.currency is {self._declared}, the store has amounts in {held.decode()}: currencies are never added"
            )
        return held.decode()

    def waiting(self, line_id: str) -> list[WaitingReturn]:
        """The orphans of a line that is not known, in the order in which they came."""
        value = self._get(encode_key(WAITING, (line_id,)))
        return [] if value is None else _DECODE_WAITING(value)

    def has_return(self, return_id: str) -> bool:
        return self._get(encode_key(RETURNS, (return_id,))) is not None

    def has_inspection(self, inspection_id: str) -> bool:
        return self._get(encode_key(INSPECTIONS, (inspection_id,))) is not None

    def has(self, event: AnyEvent) -> bool:
        """Whether what an accepted event leaves behind is there: each of its order lines, its return, its inspection."""
        if isinstance(event, OrderPlaced):
            return all(self._line(line.line_id) is not None for line in event.lines)
        if isinstance(event, InspectionCompleted):
            return self.has_inspection(event.inspection_id)
        return self.has_return(event.return_id)

    def apply(self, event: AnyEvent, verdict: Verdict, known_at_us: int) -> None:
        """Let an accepted event take effect."""
        if not isinstance(event, InspectionCompleted) and self._get(CURRENCY) is None:
            self._changed[CURRENCY] = event.currency.encode()
        if isinstance(event, OrderPlaced):
            lines = {}
            for row, line in order_rows(event, self._names):
                lines[row[1]["line_id"]] = line
                self.add(row, known_at_us)
            self._link(verdict.links, lines, known_at_us)
            for line_id, line in lines.items():
                self._changed[encode_key(LINES, (line_id,))] = _ENCODE(line)
        elif isinstance(event, InspectionCompleted):
            self._changed[encode_key(INSPECTIONS, (event.inspection_id,))] = b""
        else:
            returned = None
            if not verdict.is_orphan and event.line_id is not None:
                returned = self._line(event.line_id)
            if returned is not None and event.line_id is not None:
                quantity = returned.returned_quantity + event.quantity
                changed = msgspec.structs.replace(returned, returned_quantity=quantity)
                self._changed[encode_key(LINES, (event.line_id,))] = _ENCODE(changed)
            elif verdict.is_orphan and (event.line_id or "").strip():
                self._wait(event)
            self._changed[encode_key(RETURNS, (event.return_id,))] = b""
            self.add(return_row(event, returned, self._names), known_at_us)

    def _wait(self, event: ReturnReceived) -> None:
        line_id = event.line_id or ""
        self._changed[encode_key(WAITING, (line_id,))] = _ENCODE([*self.waiting(line_id), waiting_return(event)])

    def _link(self, links: Sequence[Link], lines: dict[str, StoredLine], known_at_us: int) -> None:
        """Let the returns that waited for the lines take effect; ``lines`` get what was returned of them."""
        waited = {one.return_id: one for line_id in {link.line_id for link in links} for one in self.waiting(line_id)}
        for link in links:  # by return id, as ``seq`` has them in batch
            if link.rule is None:
                one, line = waited[link.return_id], lines[link.line_id]
                self.add(linked_row(one, line, self._names), known_at_us)
                lines[link.line_id] = msgspec.structs.replace(line, returned_quantity=line.returned_quantity + one.quantity)
            self._changed[encode_key(WAITING, (link.line_id,))] = _ENCODE([])

    def erase(self, customer: str, events: Iterable[tuple[LedgerEvent, Verdict]]) -> None:
        """Drop every tile, and every list of values, whose key names a customer.

        Args:
            events: accepted ones after the generation; all that concern the customer must be among them.
        """
        self.flush()
        for event, verdict in events:
            for table, columns in self._rows(event, verdict):
                if columns[_CUSTOMER] != customer:
                    continue
                for i, layout, _ in self._layout.fed_by.get(table, ()):
                    parts = [columns[name] for name in layout.group.keys]
                    if _CUSTOMER in layout.group.keys and None not in parts:
                        self._transaction.delete(STATE, encode_key(i, parts))
                        self._transaction.delete(STATE, encode_key(i + LISTS, parts))

    def _rows(self, event: LedgerEvent, verdict: Verdict) -> list[Row]:
        if isinstance(event, OrderPlaced):
            # A return that was linked has its line's keys, too.
            return [
                row
                for (_, columns), _ in order_rows(event, self._names)
                for row in ((ORDERS_TABLE, columns), (RETURNS_TABLE, columns))
            ]
        if isinstance(event, ReturnReceived):
            known = event.line_id if not verdict.is_orphan else None
            return [return_row(event, None if known is None else self._line(known), self._names)]
        return []

    def flush(self) -> None:
        """Write what changed."""
        for i, tiles in enumerate(self._tiles):
            self._merge(i, tiles.keys, tiles.merged)
            if tiles.layout.distinct:
                self._merge(i + LISTS, tiles.keys, tiles.merged_lists)
            tiles.clear()
        for key, value in self._changed.items():
            self._transaction.put(STATE, key, value)
        self._changed.clear()

    def _merge(self, table: int, parts: Sequence[Parts], merged: Callable[[list[bytes | None]], list[bytes]]) -> None:
        keys = [encode_key(table, own) for own in parts]
        if keys:
            self._transaction.load(STATE, keys)
            for key, value in zip(keys, merged([self._transaction.get(STATE, key) for key in keys]), strict=True):
                self._transaction.put(STATE, key, value)

    def add(self, row: Row, known_at_us: int) -> None:
        """Let one row of a stream's table take effect."""
        table, columns = row
        for i, layout, stream in self._layout.fed_by.get(table, ()):
            parts = tuple([columns[name] for name in layout.group.keys])
            if None not in parts:
                self._tiles[i].add(parts, stream, known_at_us, columns)

    def _line(self, line_id: str) -> StoredLine | None:
        value = self._get(encode_key(LINES, (line_id,)))
        return None if value is None else _DECODE_LINE(value)

    def _get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._changed.get(key)
        if value is None:
            value = self._transaction.get(STATE, key)
        if value is None:
            value = self._history[key] if key in self._history else self.generation.read([key])[0]
        return value
