"""What every table and column of the published copy holds, in a sentence: the comments that BI tools show.

Belongs here: words that no declaration has already. Those of delivered columns and of features come from their declarations.
"""

from __future__ import annotations

from returnml.contracts.columns import STREAMS
from returnml.features.catalogue import catalogue
from returnml.features.declarations import KeyGroup
from returnml.features.sql.duckdb import DUCKDB
from returnml.features.sql.measures import measures_of
from returnml.features.sql.tile_totals import last_column, tile_columns
from returnml.tasks.live_sets import TILE_GROUPS
from returnml.tasks.registry import tasks

_TABLES = {
    "raw.events": "One row per event of the ledger, key seq, with the verdict given when it was sent.",
    "raw.orders": "One row per delivered order line, as the landing file or event has it.",
    "raw.returns": "One row per delivered return, as the landing file or event has it.",
    "raw.inspections": "One row per delivered inspection, as the landing file or event has it.",
    "quarantine.orders": "One row per refused order line, with the rule that it breaks and where it came from.",
    "quarantine.returns": "One row per refused return, with the rule that it breaks and where it came from.",
    "quarantine.inspections": "One row per refused inspection, with the rule that it breaks and where it came from.",
    "quarantine.files": "One row per landing file that was refused as a whole.",
    "core.orders": "One row per valid order line, key line_id.",
    "core.returns": "One row per valid return, key return_id; an orphan's later link has a row of its own.",
    "core.inspections": "One row per valid inspection, key inspection_id.",
    "core.outcomes": "One row per order line whose label is mature, key line_id.",
    "features.order_lines": "One row per order line, key line_id: what was known as of its moment.",
    "features.returns": "One row per return with a line, key return_id: what was known before the return was requested.",
    "features.customers": "One row per known customer and cut-off, key (day, customer_id): what was known as of the cut-off.",
    "training.snapshots": "One row per frozen set of training rows, key hash.",
    "training.leaderboard": "One row per snapshot, variant and figure of quality.",
    "serving.inference_log": "One row per answered order line, key (request_id, line_number).",
    "serving.moments": "One row per order line that was scored online before its order came: the moment of its last answer.",
    "monitoring.consistency": "One row per feature and day: how served vectors agree with batch, bit for bit.",
    "monitoring.drift": "One row per feature and day: how far its values are from those that the release learnt from.",
    "forecast.return_rates": "One row per day, product group and young cohort: the return rate that it will have.",
    "forecast.returns": "One row per day, product group and coming day: the goods that will come back.",
    "ops.partitions": "One row per table and day that was written: rows, content hash, and the hash of what it was made from.",
    "ready.order_lines": "One row per order line: score, action, outcome, and whether the model learnt from it.",
}

_COLUMNS = {
    "known_day": "UTC day of known_at: the partition.",
    "known_at": "When the shop's systems learned of it (UTC).",
    "seq": "Position in the one order of all events; increases with known_at.",
    "file": "Landing file or ledger segment that it came from.",
    "version": "Of the landing file; a redelivery is a new one.",
    "row_number": "In its file, from 1; of an event, the line's number in the order.",
    "is_imported": "Whether it is history from before go_live.",
    "has_own_ids": "Whether the ids are the shop's, not made on import.",
    "ledger_seq": "seq of the event that sent it; null: a landing file did.",
    "extra": "Delivered columns that the contract does not name, as JSON.",
    "uncast": "Delivered values that are none of their column's type, as JSON.",
    "row_hash": "Hash of the delivered row.",
    "rule": "The first rule that it breaks; null where accepted.",
    "rules": "Every rule that it breaks.",
    "column_name": "The column that is spoken of.",
    "message": "What is wrong, for people.",
    "payload": "The row or event as delivered, as JSON.",
    "event_id": "The sender's id of the event; takes effect once.",
    "type": "Kind of event.",
    "is_accepted": "The verdict given when the event was sent.",
    "field": "The field of the event that a refusal speaks of.",
    "is_orphan": "Whether the return named no known line when it came.",
    "is_link": "Whether the row is the later link of an orphan return to its line.",
    "links": "Orphan returns that the event linked, as JSON.",
    "conversion": "How amounts were converted to the shop's currency, as JSON.",
    "stream": "Kind of landing file: orders, returns, inspections.",
    "sent_currency": "Currency of the amounts as sent; null where they were not converted.",
    "sent_unit_price_cents": "Price of a piece as sent, minor units of sent_currency.",
    "sent_list_price_cents": "List price of a piece as sent, minor units of sent_currency.",
    "sent_refund_cents": "Refund as sent, minor units of sent_currency.",
    "exchange_rate": "Rate by which amounts were converted.",
    "exchange_day": "Day of that rate.",
    "line_value_cents": "Quantity times price paid, minor units.",
    "value_cents": "What is at stake, minor units.",
    "letter_size": "Size on the scale of letters (XS to XXL); 0 where it is none.",
    "has_letter_size": "1 where the size is on the scale of letters.",
    "number_size": "Size as a number; 0 where it is none.",
    "has_number_size": "1 where the size is a number.",
    "is_too_small": "1 where the return's reason says too small.",
    "is_too_large": "1 where the return's reason says too large.",
    "is_abuse": "1 where the verdict says that the customer wore the goods or kept them.",
    "mature_at": "From when on the label is known.",
    "returned": "1 where any piece came back within the label's window; in forecasts, lines of which that is known.",
    "returned_quantity": "Pieces that came back within the label's window.",
    "day": "UTC day that the row is of: the partition.",
    "requested_at": "The moment that the features are as of (UTC).",
    "visible_until": "Events known before this instant were visible.",
    "derived_until": "What the nightly job makes was visible if known before this instant.",
    "feature_set_hash": "The declarations that the features were computed by.",
    "probability": "Calibrated answer to the task's question.",
    "expected_cost_cents": "Probability times what a return costs, minor units.",
    "release": "The release that said so.",
    "action": "What the policy says to do: allow, nudge, review or restrict.",
    "is_explored": "Allowed by the exploration draw, whatever the policy's rule says.",
    "policy_hash": "The policy that chose the action.",
    "in_training": "Whether the release may have learnt this row's outcome; null: it does not say.",
    "rank": "From 1: what raises the risk most.",
    "family": "Features that the reason speaks of.",
    "text": "The reason in plain words.",
    "contribution": "What the family's features add to the log-odds before calibration.",
    "feature": "The feature that is spoken of.",
    "value": "Its value; of a figure, the figure's.",
    "hash": "Of the snapshot's content.",
    "task": "The scored question.",
    "cut_off": "Labels known before it are in (UTC).",
    "rows": "How many rows.",
    "base_rate": "Share of rows with a label of 1.",
    "path": "Folder of the snapshot below the data root.",
    "snapshot": "Hash of the training snapshot.",
    "variant": "Recipe of a model.",
    "is_chosen": "Whether the release is made from this variant.",
    "is_baseline": "Whether the variant is there to be compared with only.",
    "selection_loss": "Log loss on the calibration part, before the hold-out.",
    "customers": "How many customers.",
    "maturity_days": "Days from a row to its known label.",
    "mature_share": "Share of the hold-out's rows whose label is known.",
    "figure": "Name of the figure of quality.",
    "low": "Of the figure's 95% interval, with high.",
    "high": "Of the figure's 95% interval, with low.",
    "difference": "From the chosen variant, on the same rows.",
    "difference_low": "Of the difference's 95% interval, with difference_high.",
    "difference_high": "Of the difference's 95% interval, with difference_low.",
    "request_id": "The request to the service.",
    "line_number": "Place of the line in its request, from 0.",
    "mark": "seq of the last live event that was visible; 0 where a generation alone was.",
    "generation": "Published part of the online store that was read.",
    "role": "Role of the release that answered.",
    "worker": "Process that answered.",
    "latency_us": "From the decoded order to the scores, microseconds.",
    "is_stale": "Whether the answer was of a generation alone.",
    "raw": "The stored words behind every aggregate, int64.",
    "vector": "The features as the model got them, float32.",
    "identical": "Rows with the same bits online and in batch.",
    "rate": "Share: of equal vectors, or the expected share of lines that come back.",
    "example": "Request and line of the first difference.",
    "served": "Its served value.",
    "recomputed": "Its value in batch.",
    "psi": "Population stability index over the reference's bins.",
    "ks": "Kolmogorov-Smirnov distance over the reference's bins.",
    "share_missing": "Share of values that are missing.",
    "is_drifted": "Whether the day's values are too far from the reference.",
    "first_ordered_day": "First order day of the cohort.",
    "last_ordered_day": "Last order day of the cohort.",
    "lines": "Order lines of the cohort; in the forecast, those of which goods come back.",
    "lines_low": "Of a nominal 90% interval, with lines_high.",
    "lines_high": "Of a nominal 90% interval, with lines_low.",
    "pieces": "Pieces that come back on forecast_day.",
    "pieces_low": "Of a nominal 90% interval, with pieces_high.",
    "pieces_high": "Of a nominal 90% interval, with pieces_low.",
    "rate_low": "Of a nominal 90% interval, with rate_high.",
    "rate_high": "Of a nominal 90% interval, with rate_low.",
    "matures_on": "From when on the rate is final.",
    "forecast_day": "UTC day on which goods come back.",
    "new_order_lines": "What orders from now on would add; not in lines.",
    "new_order_pieces": "What orders from now on would add; not in pieces.",
    "table_name": "The table that was written.",
    "content_hash": "Hash of the day's rows, whatever their order.",
    "inputs_hash": "Hash of what the day was made from.",
    "share": "Share of rows.",
}


def table_words() -> dict[str, str]:
    """By table what a row is: tiles and the tables of tasks from their declarations."""
    found = dict(_TABLES)
    for group in TILE_GROUPS:
        if group.is_tiled:
            found[group.tile_table] = (
                f"One row per {' x '.join(group.keys)} and day with events: running totals through that day."
            )
    for task in tasks().values():
        found[task.score_table] = f"{task.question} One row per {task.words.row}: what the model says and what to do."
        if task.reason_table is not None:
            found[task.reason_table] = f"Why: of the {task.words.rows} with the highest expected costs, what raises their risk."
    return found


def column_words(table: str) -> dict[str, str]:
    """What is known of a table's columns by name; names that it does not have are among them.

    >>> column_words("core.orders")["line_id"]
    'The order line; unique over the shop.'
    """
    found = dict(_COLUMNS)
    for stream in reversed(STREAMS.values()):
        found |= {column.name: column.description for column in stream.columns}
    own = STREAMS.get(table.partition(".")[2])
    if own is not None:
        found |= {column.name: column.description for column in own.columns}
    for task in tasks().values():
        if table == task.spine.table:
            features = {entry.name: entry.description for entry in catalogue(task.feature_set)}
            found = {**found, **features}
    for group in TILE_GROUPS:
        if group.is_tiled and table == group.tile_table:
            found |= _tile_words(group)
    return found


def _tile_words(group: KeyGroup) -> dict[str, str]:
    sums = {m.name: f"{m.stream}: {m.operation.value} of {m.column or 'events'}, through the day." for m in measures_of(group)}
    lasts = {last_column(s.name): f"When the last of {s.name} became known." for s in group.streams}
    return {name: text for name, text in {**sums, **lasts}.items() if name in tile_columns(DUCKDB, group)}
