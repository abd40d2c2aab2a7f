"""A trial: do factors of customers and articles, from who kept and returned what, add to the features?

Factors of a customer and of an article are fitted so that their product says how much more, or less, than both usually do the
customer returns the article (regularised alternating least squares on what is left of the labels after both biases; Koren,
Bell and Volinsky 2009). *As of*: those that a line sees were fitted at the start of its month, on lines whose labels were known
by then; those of a fold's test lines at its origin, as a release would hold them. Nothing here looks at a line from August on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from returnml.features.feature_set import FeatureSet
from returnml.instants import instant, instant_us
from returnml.modeling.fit.boosting import parameters, train
from returnml.modeling.fit.calibration import sigmoid
from returnml.modeling.judging.gates.suspicious_features import varies
from returnml.modeling.judging.metrics import ScoredSample, customer_weights, differences, intervals
from returnml.studies.online_retail_study import FOLD_GAP_US, FOLD_ORIGINS, SEEDS, SETTINGS, TRAIN_END_US, study_folds

FIGURES = ("auc", "average_precision", "log_loss")
INPUTS = ("factor_bias_customer", "factor_bias_article", "factor_affinity", "factor_lines_customer", "factor_lines_article")
RIDGE = 10.0
"""Lines' worth of evidence that a bias or a factor has against it."""
ROUNDS = 8


@dataclass(frozen=True)
class Factors:
    """Fitted as of a moment. Rows of ``customers`` and ``articles`` are those of their codes; unseen ones are zeros.

    Attributes:
        bias_customer, bias_article: shape (codes,), in label units.
        customers, articles: shape (codes, rank).
        seen_customer, seen_article: lines that they were fitted on.
    """

    bias_customer: np.ndarray
    bias_article: np.ndarray
    customers: np.ndarray
    articles: np.ndarray
    seen_customer: np.ndarray
    seen_article: np.ndarray

    def inputs(self, customer: np.ndarray, article: np.ndarray) -> np.ndarray:
        """float32, shape (lines, ``INPUTS``)."""
        affinity = np.einsum("ij,ij->i", self.customers[customer], self.articles[article])
        columns = (
            self.bias_customer[customer],
            self.bias_article[article],
            affinity,
            self.seen_customer[customer],
            self.seen_article[article],
        )
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class FactorTrial:
    """One rank on the folds.

    Attributes:
        figures: means over the folds.
        differences: from the features alone: (value, low, high), 95% by paired customer bootstrap over all folds.
    """

    rank: int
    figures: dict[str, float]
    differences: dict[str, tuple[float, float, float]]


def fit_factors(
    customer: np.ndarray, article: np.ndarray, y: np.ndarray, sizes: tuple[int, int], rank: int, ridge: float = RIDGE
) -> Factors:
    """Alternating least squares; the same input gives the same factors.

    Args:
        customer, article: codes of each line.
        y: 0 or 1 of each line.
        sizes: how many codes of customers and of articles there are.
        rank: 0: biases only.
    """
    n_customers, n_articles = sizes
    seen_customer = np.bincount(customer, minlength=n_customers).astype(np.float64)
    seen_article = np.bincount(article, minlength=n_articles).astype(np.float64)
    bias_customer, bias_article = np.zeros(n_customers), np.zeros(n_articles)
    start = np.random.default_rng(1)
    customers = start.normal(0, 0.1, (n_customers, rank)) * (seen_customer > 0)[:, None]
    articles = start.normal(0, 0.1, (n_articles, rank)) * (seen_article > 0)[:, None]
    left = y - (y.mean() if len(y) else 0.0)
    for _ in range(ROUNDS):
        product = np.einsum("ij,ij->i", customers[customer], articles[article])
        rest = left - bias_article[article] - product
        bias_customer = np.bincount(customer, rest, n_customers) / (seen_customer + ridge)
        rest = left - bias_customer[customer] - product
        bias_article = np.bincount(article, rest, n_articles) / (seen_article + ridge)
        if rank:
            rest = left - bias_customer[customer] - bias_article[article]
            customers = _solved(customer, articles[article], rest, n_customers, ridge)
            articles = _solved(article, customers[customer], rest, n_articles, ridge)
    return Factors(bias_customer, bias_article, customers, articles, seen_customer, seen_article)


def _solved(owner: np.ndarray, other: np.ndarray, rest: np.ndarray, owners: int, ridge: float) -> np.ndarray:
    """The factors of each owner, given the other side's of each line: ridge regression per owner."""
    rank = other.shape[1]
    gram = np.empty((owners, rank, rank))
    target = np.empty((owners, rank))
    for i in range(rank):
        target[:, i] = np.bincount(owner, other[:, i] * rest, owners)
        for j in range(i, rank):
            gram[:, i, j] = gram[:, j, i] = np.bincount(owner, other[:, i] * other[:, j], owners)
    gram += ridge * np.eye(rank) * 0.1
    return np.linalg.solve(gram, target[:, :, None])[:, :, 0]


def as_of_inputs(
    ordered: np.ndarray, customer: np.ndarray, article: np.ndarray, y: np.ndarray, origin_us: int, rank: int
) -> np.ndarray:
    """What each line sees of factors, float32, shape (lines, ``INPUTS``): of its month's start, from the origin on of the origin.

    Args:
        ordered: microseconds since the epoch, ascending.
        origin_us: of the fold.
    """
    sizes = (int(customer.max()) + 1, int(article.max()) + 1)
    found = np.zeros((len(y), len(INPUTS)), np.float32)
    starts = [at for at in _months(int(ordered[0]), origin_us) if at < origin_us]
    for at, end in zip([*starts, origin_us], [*starts[1:], origin_us, int(ordered[-1]) + 1], strict=True):
        known = ordered < at - FOLD_GAP_US
        rows = (ordered >= at) & (ordered < end)
        if known.any() and rows.any():
            factors = fit_factors(customer[known], article[known], y[known].astype(np.float64), sizes, rank)
            found[rows] = factors.inputs(customer[rows], article[rows])
    return found


def try_factors(
    lines: pl.DataFrame,
    x: np.ndarray,
    feature_set: FeatureSet,
    ranks: Sequence[int],
    *,
    replicates: int,
    seeds: Sequence[int] = SEEDS,
    progress: Callable[[str], None] = lambda step: None,
) -> list[FactorTrial]:
    """Fit the features with and without factors of each rank, on every fold.

    Args:
        lines: ``ordered_at``, ``customer_id``, ``article_id`` and ``returned`` of every line, ascending by time.
        x: float32, shape (lines, features).
    """
    ordered, y = lines["ordered_at"].to_physical().to_numpy(), lines["returned"].to_numpy()
    known = ordered < TRAIN_END_US
    x, y, ordered = x[known], y[known], ordered[known]
    codes = lines.select(pl.col("customer_id", "article_id").rank("dense") - 1).filter(pl.Series(known))
    customer, article = (codes[name].to_numpy().astype(np.int64) for name in ("customer_id", "article_id"))
    names = [name for j, name in enumerate(feature_set.outputs) if varies(x[:, j])]
    x = x[:, [feature_set.outputs.index(name) for name in names]]
    folds = list(zip(study_folds(ordered), FOLD_ORIGINS, strict=True))
    scored: dict[int | None, list[ScoredSample]] = {None: [], **{rank: [] for rank in ranks}}
    for fold, origin in folds:
        for rank in scored:
            progress(f"origin {origin}, {'features alone' if rank is None else f'rank {rank}'}")
            own, inputs = x, names
            if rank is not None:
                origin_us = instant_us(datetime.fromisoformat(origin))
                own = np.hstack([x, as_of_inputs(ordered, customer, article, y, origin_us, rank)])
                inputs = [*names, *INPUTS]
            model = train(own[fold.train], y[fold.train], inputs, parameters(SETTINGS), SETTINGS.rounds, seeds)
            scored[rank].append(ScoredSample(y[fold.test], sigmoid(model.margin(own[fold.test]))))
    weights = customer_weights(np.concatenate([customer[fold.test] for fold, _ in folds]), replicates, seed=1)
    ends = np.cumsum([len(fold.test) for fold, _ in folds])[:-1]
    alone = _means(scored[None], [None] * len(folds))
    drawn = [{rank: _means(samples, np.split(weight, ends)) for rank, samples in scored.items()} for weight in weights]
    found = []
    for rank in ranks:
        means = _means(scored[rank], [None] * len(folds))
        apart = differences(means, alone)
        spread = intervals([differences(one[rank], one[None]) for one in drawn])
        found.append(FactorTrial(rank, means, {name: (apart[name], *spread[name]) for name in FIGURES}))
    return found


def _means(samples: Sequence[ScoredSample], weights: Sequence[np.ndarray | None]) -> dict[str, float]:
    found = [sample.figures(weight) for sample, weight in zip(samples, weights, strict=True)]
    return {figure: float(np.mean([f[figure] for f in found])) for figure in FIGURES}


def _months(first_us: int, last_us: int) -> list[int]:
    at, found = instant(first_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0), []
    while instant_us(at) <= last_us:
        found.append(instant_us(at))
        at = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
    return found
