"""What a scored question is, as data: its rows, their moment, their label and maturity, its features and its costs.

Training, gates, cards, releases, deployment and scores are made from this declaration alone; no code asks for a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from returnml.attributes import Attributes
from returnml.errors import Refusal
from returnml.features.feature_set import FeatureSet
from returnml.policy.document import SEGMENT_COLUMNS, Policy
from returnml.settings import LabelSettings

FACT_COLUMNS = ("order_id", "customer_id", "article_id", "currency", *SEGMENT_COLUMNS)
"""What is known of every task's row besides its value; null where it has no meaning."""

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class TaskError(Refusal):
    """A task that is not declared as it must be, or that there is none of; the message names it."""


class Moments(StrEnum):
    """When the rows of a spine are scored."""

    EACH_DAY = "each_day"  # every row at a moment of its own; a day's rows are written together
    CUT_OFF = "cut_off"  # all rows at once, at the nightly cut-off


@dataclass(frozen=True)
class Sampling:
    """Which days' rows a model is trained on, where all would be more than it needs.

    Attributes:
        every_days: those whose number since 1970-01-01 it divides.
        last_days: before the training's cut-off.
    """

    every_days: int
    last_days: int

    def condition(self, cut_off: str) -> str:
        """SQL over ``day``; ``cut_off`` is SQL too."""
        return f"(day - DATE '1970-01-01') % {self.every_days} = 0 AND day >= {cut_off}::DATE - {self.last_days}"

    def __str__(self) -> str:
        return f"every {self.every_days} days of the last {self.last_days}"


@dataclass(frozen=True)
class RequestColumns:
    """What a request to the service says of each row: the columns that features may be made from online.

    Attributes:
        categories: texts of the shop's own that events carry too, so that they may be keys (``attributes``).
    """

    texts: tuple[str, ...]
    integers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.texts, *self.integers)


@dataclass(frozen=True)
class Spine:
    """The rows that questions are asked about, and the table that has their vectors.

    Attributes:
        table: the warehouse table: ``day``, ``keys``, ``requested_at``, ``feature_set_hash`` and the features.
        asset: the Dagster asset that writes it.
        keys: columns that name a row.
        row_id: SQL over the keys that gives every row one name, a string.
        is_logged: whether the service's inference log has answers about these rows.
        sampling: which of its days are trained on; None: all.
        request: what a request to the service says of a row, whose vectors the online store then serves; None: they are
            computed in batch only.
    """

    name: str
    table: str
    asset: str
    keys: tuple[str, ...]
    row_id: str
    moments: Moments
    is_logged: bool = False
    sampling: Sampling | None = None
    request: RequestColumns | None = None

    @property
    def is_served(self) -> bool:
        """Whether the online store can serve its vectors, too."""
        return self.request is not None


@dataclass(frozen=True)
class Words:
    """How reports speak of a task.

    Attributes:
        row, rows: what is scored: ``order line``.
        anchored: what happened when the label's window began: ``ordered``.
        positive: what a label of 1 says has happened: ``came back``.
        negative: what a label of 0 says: ``were kept``.
    """

    row: str
    rows: str
    anchored: str
    positive: str
    negative: str


@dataclass(frozen=True)
class Task:
    """A scored question.

    Attributes:
        name: of the task, of its registered model and the first part of its releases' versions.
        question: what a probability is the probability of; one sentence.
        feature_set: the model's inputs; the spine's table has them.
        label_rule: from the shop's label settings to the task's: the window in which the label is decided, and the grace
            after it. Both together are its maturity: how long after the anchor a label is known.
        labels: a query: ``keys``, ``anchor_at``, ``matures_at``, ``label`` (0 or 1), ``label_known_at`` (when a label of 1
            was first known; else null) and ``is_flag`` (whether the shop's own flag tells it, which is final at the end of
            the window), one row for each label known at ``{cut_off}``. It may use ``{window_days}`` and ``{grace_days}`` of
            the shop's settings, and ``{sampled}``: which of the spine's days are trained on. Times are naive UTC; in braces
            stand SQL literals.
        labels_from: Dagster assets that ``labels`` reads.
        facts: a query: ``keys``, ``anchor_at`` (when the label's window begins), ``FACT_COLUMNS`` and ``value``, one row for each
            row of the spine, whether its label is known or not.
        facts_from: Dagster assets that ``facts`` reads.
        copied_from: those of them whose columns it copies under their name.
        value: the column of ``facts`` that has what is at stake, minor units of ``currency``.
        score_table: where scores go, e.g. ``scores.daily``.
        score_columns: columns of ``facts`` (or keys) that its rows carry, with SQL types.
        reason_table: where the reasons of the riskiest rows go; None: they are not explained.
        words: how reports speak of it.
        purpose, limits: paragraphs and bullets of the model card.
        policy: turns a probability into expected cost and action, where the settings name no file; None: the shop's own
            policy (setting ``policy``).
        asset_prefix: of its Dagster assets' keys.
        overlap_days: how far apart two rows must be to share nothing that decides their labels.
        flag_is_final: whether a label that only the shop's flag tells is final at the end of the window, without the grace.
        rate_features: as-of rates that are a model of their own; the first that the features have is the baseline.
        protected: the shop's protected attributes of the rows; ``facts`` has them as columns, and the card tells their groups.
    """

    name: str
    question: str
    spine: Spine
    feature_set: FeatureSet
    label_rule: Callable[[LabelSettings], LabelSettings]
    labels: str
    labels_from: tuple[str, ...]
    facts: str
    facts_from: tuple[str, ...]
    value: str
    score_table: str
    score_columns: dict[str, str]
    words: Words
    purpose: tuple[str, ...]
    limits: tuple[str, ...]
    policy: Policy | None
    asset_prefix: tuple[str, ...]
    copied_from: tuple[str, ...] = ()
    overlap_days: int = 0
    reason_table: str | None = None
    rate_features: tuple[str, ...] = ()
    flag_is_final: bool = False
    protected: Attributes = ()

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise TaskError(f"task {self.name!r}: lower case letters, digits and _ only: it names folders and tables")
        for table in (self.score_table, self.reason_table):
            if table is not None and table.count(".") != 1:
                raise TaskError(f"task {self.name}: {table!r} must be schema.table")
        absent = [key for key in self.spine.keys if key != "day" and key not in self.score_columns]
        if absent:
            raise TaskError(f"task {self.name}: score_columns lack {absent[0]!r}, a key of {self.spine.table}")

    def maturity_days(self, shop: LabelSettings) -> int:
        """How long after its anchor a row's label is known."""
        label = self.label_rule(shop)
        return label.window_days + label.grace_days

    def score_table_columns(self) -> dict[str, str]:
        """Column to SQL type of the score table."""
        return {
            "day": "DATE",
            **self.score_columns,
            "requested_at": "TIMESTAMP",
            "probability": "FLOAT",
            "expected_cost_cents": "BIGINT",
            self.value: "BIGINT",
            "currency": "VARCHAR",
            "release": "VARCHAR",
            "feature_set_hash": "VARCHAR",
            "action": "VARCHAR",
            "is_explored": "BOOLEAN",
            "policy_hash": "VARCHAR",
            "in_training": "BOOLEAN",
        }

    def reason_columns(self) -> dict[str, str]:
        """Column to SQL type of the reason table."""
        return {
            "day": "DATE",
            **{key: self.score_columns[key] for key in self.spine.keys if key != "day"},
            "rank": "TINYINT",
            "family": "VARCHAR",
            "text": "VARCHAR",
            "contribution": "DOUBLE",
            "feature": "VARCHAR",
            "value": "FLOAT",
            "release": "VARCHAR",
        }
