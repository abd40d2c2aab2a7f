"""What a shop's customer ids become on their way in, and how a customer is asked for by their id."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from returnml.privacy.keyring import KEY_BYTES, DrawKey, Keyring, KeyringError, is_pseudonym, pseudonym_of, random_key
from returnml.root import RootError, read_root
from returnml.settings import Settings

T = TypeVar("T")

IS_PSEUDONYM = "customer_id_is_pseudonym"
"""The rule that an id which is asked about, or sent, breaks where it is one of ours and not one of the shop's."""
NOT_THE_SHOPS = (
    "this is a pseudonym, which only tables and logs know: name the customer by the shop's own id (a shop that sends "
    'pseudonyms of this form sets privacy.customer_ids = "as_delivered")'
)


class CustomerIds(Protocol):
    """From the ids of a shop to the names that the line knows its customers by."""

    @property
    def is_mapped(self) -> bool:
        """Whether the two differ."""
        ...

    def find(self, customer_id: str) -> str | None:
        """The name of a customer who is known."""
        ...

    def register(self, customer_ids: Iterable[str]) -> Mapping[str, str]:
        """The names of customers, of new ones too. Durable at the return."""
        ...

    def forgotten_lines(self) -> Mapping[str, str]:
        """Order lines of customers who were forgotten, with the names that they lie under."""
        ...

    def forgotten_line(self, line_id: str) -> str | None:
        """The name that this line of somebody forgotten lies under."""
        ...

    def misnamed(self, customer_id: str | None) -> str | None:
        """Why this cannot be an id of the shop; None where it can."""
        ...

    def drawing(self, draw: DrawKey) -> CustomerIds:
        """The same, with keys of new customers from ``draw``."""
        ...


class AsDelivered:
    """The ids as they come: the shop sends pseudonyms already."""

    is_mapped = False

    def find(self, customer_id: str) -> str | None:
        return customer_id

    def register(self, customer_ids: Iterable[str]) -> Mapping[str, str]:
        return {customer_id: customer_id for customer_id in customer_ids}

    def forgotten_lines(self) -> Mapping[str, str]:
        return {}

    def forgotten_line(self, line_id: str) -> str | None:
        return None

    def misnamed(self, customer_id: str | None) -> str | None:
        return None

    def drawing(self, draw: DrawKey) -> CustomerIds:
        return self


class Pseudonyms:
    """The pseudonyms of a keyring."""

    is_mapped = True

    def __init__(self, keyring: Keyring, draw: DrawKey = random_key) -> None:
        self._keyring = keyring
        self._draw = draw
        self.find = keyring.find
        self.forgotten_lines = keyring.forgotten_lines
        self.forgotten_line = keyring.forgotten_line

    def register(self, customer_ids: Iterable[str]) -> Mapping[str, str]:
        return self._keyring.register(customer_ids, self._draw)

    def misnamed(self, customer_id: str | None) -> str | None:
        return NOT_THE_SHOPS if customer_id is not None and is_pseudonym(customer_id) else None

    def drawing(self, draw: DrawKey) -> CustomerIds:
        return Pseudonyms(self._keyring, draw)


AS_DELIVERED = AsDelivered()


def open_customers(settings: Settings) -> CustomerIds:
    """The customer ids of a data root. Makes nothing.

    Raises:
        KeyringError: see :func:`open_keyring`; or where the root has a keyring and the setting ``privacy.customer_ids`` says
            that the shop sends pseudonyms.
    """
    if settings.privacy.customer_ids == "pseudonymise":
        return Pseudonyms(open_keyring(settings))
    if _known_keyring(settings) is not None:
        raise KeyringError(
            f"{settings.paths.root}: has been a root with a keyring from the start, privacy.customer_ids is as_delivered: "
            "names of both kinds would not be told apart"
        )
    return AS_DELIVERED


def open_keyring(settings: Settings) -> Keyring:
    """The keyring of a data root.

    Raises:
        KeyringError: where there is none, or it is another than the root was made with; see also :class:`Keyring`.
    """
    known = _known_keyring(settings)
    if known is None:
        raise KeyringError(
            f"{settings.paths.root}: is a root of customer ids as delivered from the start, privacy.customer_ids is "
            "pseudonymise: names of both kinds would not be told apart"
        )
    keyring = Keyring(settings.paths.keys)
    if keyring.fingerprint != known:
        keyring.close()
        raise KeyringError(
            f"{settings.paths.keys}: is keyring {keyring.fingerprint[:12]}, the root was made with {known[:12]}: every customer "
            "would be a stranger; bring the root's own back"
        )
    return keyring


def _known_keyring(settings: Settings) -> str | None:
    try:
        return read_root(settings.paths.root).keyring
    except RootError as error:
        raise KeyringError(str(error)) from error


def ask_as(customers: CustomerIds, customer_id: str, ask: Callable[[str], T]) -> T:
    """Ask a question about a customer by the name that they have just now.

    Somebody without a key is asked about by a name that nobody has and nobody keeps: as a new customer. Where the customer
    is forgotten while the question is being answered, it is asked again: no answer mixes before and after.
    """
    name = customers.find(customer_id)
    answer = ask(name or one_time_name())
    while name is not None and customers.find(customer_id) != name:
        name = customers.find(customer_id)
        answer = ask(name or one_time_name())
    return answer


def one_time_name() -> str:
    """A name that nobody has: drawn, and kept nowhere."""
    return pseudonym_of(secrets.token_bytes(KEY_BYTES))
