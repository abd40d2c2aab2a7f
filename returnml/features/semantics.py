"""What decides the values of a feature set, as plain data: the feature-set hash covers all of it.

Declarations say what is computed. *Probes* say how: the code that every engine shares (windows, sizes, text codes,
request inputs, baskets, derived features) is run on fixed inputs, and what it answers is part of the data. So a changed
scale or formula changes the hash, and a changed comment, name or module does not. What no probe can reach without a
database or a store, the SQL and the stored tiles, is held by golden vectors (``returnml_tests/features/golden``).

Must not be here: anything that depends on the machine, the time or the settings.
"""

from __future__ import annotations

import hashlib
import json
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from returnml.features import fit_codes, text_codes
from returnml.features.label import ReturnEvent, label_of, mature_at, outcome_known_at
from returnml.features.program import VectorProgram
from returnml.features.request_inputs import BATCH_ONLY, SIZES, basket_values, input_values
from returnml.features.vector import assemble
from returnml.features.windows import DAY_US, FIVE_MINUTES_US, HOUR_US, Window, floor_day, floor_five_minutes
from returnml.settings import LabelSettings

if TYPE_CHECKING:
    from returnml.features.declarations import FeatureDeclarations

INSTANTS_US = (0, 1, 86_399_999_999, 1_709_164_800_000_000, 1_729_514_096_123_456, 1_735_689_599_999_999)
"""A day's edges, a leap day's start, an odd microsecond, a year's end."""
NUMBERS = (None, 0, 1, 2, 3, 4_995, -7, 65_537)
TEXTS = (
    None,
    "",
    "card",
    "Karte",
    "groß",
    "\U0001f9e6",
    " M",
    "m",
    "M",
    "XL",
    "2xl",
    "7XL",
    "0",
    "38",
    "38,5",
    "38.5",
    "38.0",
    "038",
    "1000",
    "4 2",
)
ROWS = 13
"""Of the matrix on which derived features are evaluated: no multiple of the values that fill it."""
FLOATS = (0.0, 1.0, 2.0, 3.0, -1.0, 7.5, 1e-3, 86_400_000_000.0, 123_456_789.0, float("nan"), 0.1)


def semantics_hash(feature_set: FeatureDeclarations) -> str:
    """sha256 (hex) over ``semantics``."""
    return hashlib.sha256(json.dumps(semantics(feature_set), sort_keys=True).encode()).hexdigest()


def semantics(feature_set: FeatureDeclarations) -> dict[str, Any]:
    """Declarations and what the shared code answers, without descriptions."""
    windows = {a.window for a in feature_set.aggregates}
    return {
        "declared": feature_set.as_data(),
        "windows": {w.name: _window(w) for w in sorted(windows, key=lambda w: w.name)},
        "calendar": [[floor_day(at), floor_five_minutes(at)] for at in (*INSTANTS_US, -1)],
        "fit": _fit(),
        "texts": [[text_codes.text_code(text) for text in TEXTS], text_codes.CODE_DIGITS, text_codes.SHORT_DIGITS],
        "request": _request(feature_set),
        "basket": _basket(feature_set),
        "vectors": _vectors(feature_set),
        "outcome": _outcome(),
    }


def _window(window: Window) -> list[Any]:
    return [window.length_us, window.hop_us, [window.start_us(at) for at in INSTANTS_US]]


def _fit() -> dict[str, Any]:
    return {
        "letters": sorted(fit_codes.LETTER_SIZES.items()),
        "number": fit_codes.NUMBER_SIZE,
        "reasons": [list(fit_codes.TOO_SMALL), list(fit_codes.TOO_LARGE)],
        "sizes": [
            [fit_codes.letter_size(t), fit_codes.number_size(t), sorted(fit_codes.order_columns(t).items())] for t in TEXTS
        ],
        "returns": [
            sorted(fit_codes.return_columns(reason).items())
            for reason in (None, "", "broken", *fit_codes.TOO_SMALL, *fit_codes.TOO_LARGE)
        ],
    }


def _request(feature_set: FeatureDeclarations) -> list[Any]:
    """What each request input says of the probes, at each instant."""
    order = _order(feature_set)
    found: list[Any] = []
    for declared in feature_set.request:
        if declared.kind in BATCH_ONLY:  # their meaning is the SQL's alone
            found.append([declared.name, declared.kind])
        else:
            found.append([declared.name, [input_values(declared, order, at) for at in INSTANTS_US]])
    return found


def _basket(feature_set: FeatureDeclarations) -> list[Any]:
    order = _order(feature_set)
    return [[declared.name, basket_values(declared, order)] for declared in feature_set.basket]


def _vectors(feature_set: FeatureDeclarations) -> list[str]:
    """Digests of the vectors of fixed raw inputs: by the batch's arithmetic and by the request's."""
    names = feature_set.raw_names
    raw = {
        n: np.array(list(islice(cycle(FLOATS[i % len(FLOATS) :] + FLOATS[: i % len(FLOATS)]), ROWS))) for i, n in enumerate(names)
    }
    program = VectorProgram(feature_set)
    work = program.matrix(ROWS)
    work[: len(names)] = [raw[n] for n in names]
    return [_digest(assemble(feature_set, raw)), _digest(program.run(work))]


def _digest(vectors: np.ndarray) -> str:
    """Of values: one NaN is as good as another."""
    return hashlib.sha256(np.where(np.isnan(vectors), np.float32(np.nan), vectors).astype("<f4").tobytes()).hexdigest()


def _outcome() -> list[Any]:
    """What an outcome, over which rates are computed, says of returns at the edges of window and grace."""
    label = LabelSettings(window_days=30, grace_days=3)
    edges = [30 * DAY_US + d for d in (-1, 0, 1)]
    known = [33 * DAY_US + d for d in (-1, 0, 1)]
    found: list[Any] = []
    for anchor in (0, HOUR_US, 5 * DAY_US + FIVE_MINUTES_US):
        for back in edges:
            for seen in known:
                returns = [
                    ReturnEvent(anchor + back, anchor + seen, 2, 990),
                    ReturnEvent(anchor, anchor, 1, 5, is_cancellation=True),
                ]
                one = label_of(anchor, returns, label)
                found.append([one.y, one.returned_quantity, one.refund_cents])
        found.append([mature_at(anchor, label), outcome_known_at(mature_at(anchor, label), 40 * DAY_US + anchor)])
    return found


def _order(feature_set: FeatureDeclarations) -> dict[str, list[Any]]:
    """The lines of an order that nobody placed, by column: texts where a size is read, else numbers."""
    texts = {r.column for r in feature_set.request if r.kind in SIZES}
    columns = [r.column for r in feature_set.request] + [b.column for b in feature_set.basket]
    columns += [name for b in feature_set.basket for name in b.by]
    found: dict[str, list[Any]] = {"line_id": list(range(len(TEXTS)))}
    for i, name in enumerate(dict.fromkeys(c for c in columns if c)):
        values = TEXTS if name in texts else NUMBERS
        found[name] = [values[(row * (i % 3 + 1) + i) % len(values)] for row in range(len(TEXTS))]
    return found
