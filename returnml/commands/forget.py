"""``returnml forget``: destroy the only link between a customer and what is known of them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from returnml.commands.options import DataOption, JsonOption
from returnml.commands.refusal import refused_files
from returnml.commands.root import settings_of_root
from returnml.errors import Refusal
from returnml.settings import Settings

if TYPE_CHECKING:
    from returnml.store.forgetting import Forgetter


def forget(
    customer_id: Annotated[str | None, typer.Argument(help="The shop's id of the customer.", show_default=False)] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who does it; kept in the audit trail.")] = None,
    why: Annotated[str | None, typer.Option("--why", help="Why; kept in the audit trail.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget everybody again who was forgotten: after restoring an old keyring.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a customer: their key is destroyed and their live features dropped. Killed midway, run it again."""
    from returnml.streaming.letter_erasure import erase_customer

    settings = settings_of_root(data)
    if settings.privacy.customer_ids == "as_delivered":
        raise Refusal("the shop sends pseudonyms (privacy.customer_ids): whoever made them destroys the link")
    if again == (customer_id is not None) or (customer_id is not None and not ((by or "").strip() and (why or "").strip())):
        raise Refusal("name the customer with --by and --why, or say --again alone")
    with refused_files():
        if customer_id is None:
            answer: dict[str, bool | int] = {"forgotten_again": _forgetter(settings).forget_again()}
        else:
            is_forgotten = _forgetter(settings).forget(customer_id, by or "", why or "")
            answer = {"forgotten": is_forgotten, "dead_letters": erase_customer(settings.paths.dead_letters, customer_id)}
    if as_json:
        typer.echo(json.dumps(answer))
    elif customer_id is None:
        typer.echo(f"{answer['forgotten_again']} keys of customers who had been forgotten were destroyed again")
    elif answer["forgotten"]:
        typer.echo("forgotten: the key is destroyed; what carries the pseudonym is anonymous (docs/privacy.md)")
    else:
        typer.echo("no key: the id was never seen, or it was forgotten before; whatever was left to do is done", err=True)
    if not as_json and answer.get("dead_letters"):
        typer.echo(f"{answer['dead_letters']} dead letters that named them are erased")
    if answer.get("forgotten") is False:
        raise typer.Exit(1)


def _forgetter(settings: Settings) -> Forgetter:
    from returnml.clock import clock_of
    from returnml.features.sets.attributed import order_line
    from returnml.privacy.customers import Pseudonyms, open_keyring
    from returnml.release.seal import seal_of
    from returnml.sources.pseudonyms import lines_of
    from returnml.store.backend_choice import open_backend
    from returnml.store.event_writer import EventWriter
    from returnml.store.forgetting import Forgetter

    paths = settings.paths
    keyring, clock = open_keyring(settings), clock_of(settings.replay_clock)
    writer = EventWriter(open_backend(settings), order_line(settings.shop_attributes), clock, Pseudonyms(keyring))
    return Forgetter(
        keyring, writer, paths.ledger, paths.erasures, partial(lines_of, paths.landing), clock, seal_of(settings.trail)
    )
