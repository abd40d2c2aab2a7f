"""Exact TreeSHAP over a release's trees, in numpy alone: what each input adds to a line's log-odds.

The contributions are those of path-dependent TreeSHAP (Lundberg et al. 2020), which LightGBM's ``pred_contrib`` gives
too. A leaf of value v whose path asks m different inputs is a game of m players; with z the share of training rows that
pass an input's conditions and o whether this row does (0 or 1), input i gets

    v (o_i - z_i) * integral over s from 0 to 1 of  product over j != i of (z_j (1 - s) + o_j s)

since that integral weighs every subset of the others as Shapley's formula does. The integrand is a polynomial of degree
m - 1: Gauss-Legendre quadrature with ceil(m / 2) nodes is exact. All its terms are positive, so that nothing cancels.
"""

from __future__ import annotations

import msgspec
import numpy as np

from returnml.errors import Refusal

EXPLAINER_FILE = "explainer.bin"


class ExplainerError(Refusal):
    """An explainer that cannot be read; the message says why."""


class Paths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All leaves whose paths ask ``inputs`` different inputs, as little-endian arrays.

    A row passes an input's conditions on a path if ``low < x <= high``, or if x is missing and ``missing`` is 1.

    Attributes:
        inputs: m, at least 1.
        feature: int16, position of the input, shape (m, leaves).
        low, high: float32, shape (m, leaves).
        missing: uint8, shape (m, leaves).
        share: float64, of the training rows at each split that take the path, multiplied; shape (m, leaves).
        value: float64, log-odds, shape (leaves,).
    """

    inputs: int
    feature: bytes
    low: bytes
    high: bytes
    missing: bytes
    share: bytes
    value: bytes


class ExplainerDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``explainer.bin`` (MessagePack).

    Attributes:
        width: how many inputs the model has.
        base: log-odds before anything is known of a row.
    """

    width: int
    base: float
    paths: tuple[Paths, ...]
    format: int = 1


class Explainer:
    """Explains rows.

    Args:
        content: of ``explainer.bin``.

    Attributes:
        base: what the contributions of a row are added to.

    Raises:
        ExplainerError: if it is none.
    """

    def __init__(self, content: bytes) -> None:
        try:
            document = msgspec.msgpack.decode(content, type=ExplainerDocument)
            self._parts = [_Part(paths) for paths in document.paths]
        except (msgspec.DecodeError, ValueError) as error:
            raise ExplainerError(f"{EXPLAINER_FILE}: {error}") from error
        if document.format != 1:
            raise ExplainerError(f"{EXPLAINER_FILE}: format {document.format}, this code reads 1")
        self.width = document.width
        self.base = document.base

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """What each input adds to each row's log-odds before calibration.

        Args:
            x: float32, shape (n, width); missing is NaN.

        Returns:
            float64, shape (n, width); with ``base`` every row sums to its log-odds.

        Raises:
            ValueError: for another width or type.
        """
        if x.ndim != 2 or x.shape[1] != self.width or x.dtype != np.float32:
            raise ValueError(f"the explainer takes float32 (n, {self.width}), got {x.dtype} {x.shape}")
        out = np.zeros(x.shape)
        for row, added in zip(x, out, strict=True):
            is_missing = np.isnan(row)
            for part in self._parts:
                added += part.contributions(row, is_missing, self.width)
        return out


class _Part:
    """The leaves of one number of inputs, prepared: arrays of shape (m, leaves) or (m, nodes, leaves)."""

    def __init__(self, paths: Paths) -> None:
        shape = (paths.inputs, -1)
        self.feature = np.frombuffer(paths.feature, "<i2").astype(np.intp).reshape(shape)
        self.flat = self.feature.ravel()
        self.low, self.high = (np.frombuffer(b, "<f4").reshape(shape) for b in (paths.low, paths.high))
        self.missing = np.frombuffer(paths.missing, np.bool_).reshape(shape)
        self.share = np.frombuffer(paths.share, "<f8").reshape(shape)
        nodes, weights = np.polynomial.legendre.leggauss((paths.inputs + 1) // 2)
        at = (nodes + 1.0) / 2.0
        self.at = at[:, None]
        self.fails = self.share[:, None, :] * (1.0 - self.at)
        self.weighted = (weights / 2.0)[:, None] * np.frombuffer(paths.value, "<f8")

    def contributions(self, row: np.ndarray, is_missing: np.ndarray, width: int) -> np.ndarray:
        x = row[self.feature]
        passes = (self.low < x) & (x <= self.high)
        passes |= is_missing[self.feature] & self.missing
        terms = self.fails + passes[:, None, :] * self.at
        product = np.multiply.reduce(terms, axis=0)
        product *= self.weighted
        np.divide(product, terms, out=terms)
        added = terms.sum(axis=1)
        added *= passes - self.share
        return np.bincount(self.flat, added.ravel(), width)
