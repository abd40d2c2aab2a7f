"""Derived features compiled for a request: the same operations as ``expressions.evaluate``, many features at a time.

The nodes of all derived features are sorted into levels; those of one level with the same operation are one numpy
operation over a (nodes, rows) block. Each element goes through the same IEEE 754 operations on the same operands in
the same order, so that the bits are those of ``vector.assemble`` (a test proves it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from returnml.features.declarations import FeatureDeclarations
from returnml.features.expressions import UFUNCS, Expr

_BOOLEAN = {"<", "<=", ">", ">=", "=="}


class VectorProgram:
    """Evaluates a feature set's derived features and assembles its vectors.

    Attributes:
        slots: rows of the work matrix; the first ``len(feature_set.raw_names)`` are the raw inputs in that order.

    Raises:
        ValueError: for arithmetic on the outcome of a comparison, whose meaning is left to ``where``.
    """

    def __init__(self, feature_set: FeatureDeclarations) -> None:
        self._names = {name: i for i, name in enumerate(feature_set.raw_names)}
        self._constants: dict[str, tuple[int, float]] = {}
        self._nodes: dict[tuple[Any, ...], tuple[int, int, str, tuple[int, ...]]] = {}
        self._next = len(self._names)
        outputs = dict(self._names)
        for derived in feature_set.derived:
            outputs[derived.name] = self._compile(derived.expr, outputs, derived.name)[0]
        levels: dict[tuple[int, str], list[tuple[int, tuple[int, ...]]]] = {}
        for slot, level, op, args in self._nodes.values():
            levels.setdefault((level, op), []).append((slot, args))
        # Nodes of one step get neighbouring slots, so that its result is written in place.
        final = list(range(self._next))
        next_slot = len(self._names)
        for slot, _ in self._constants.values():
            final[slot] = next_slot
            next_slot += 1
        self._steps: list[tuple[str, slice, tuple[np.ndarray, ...]]] = []
        for (_, op), nodes in sorted(levels.items()):
            begin = next_slot
            for slot, _ in nodes:
                final[slot] = next_slot
                next_slot += 1
            operands = tuple(np.array([final[args[k]] for _, args in nodes]) for k in range(len(nodes[0][1])))
            self._steps.append((op, slice(begin, next_slot), operands))
        self.slots = next_slot
        self._template = np.zeros((self.slots, 1))
        for slot, value in self._constants.values():
            self._template[final[slot], 0] = value
        self._outputs = np.array([final[outputs[name]] for name in feature_set.outputs])

    def _compile(self, expr: Expr, known: dict[str, int], feature: str) -> tuple[int, int, bool]:
        """Slot, level and whether it is a truth value."""
        if expr.op == "column":
            slot = known[expr.args[0]]
            return slot, 0, False
        if expr.op == "constant":
            value = float(expr.args[0])
            slot = self._constants.setdefault(value.hex(), (self._next, value))[0]
            self._next = max(self._next, slot + 1)
            return slot, 0, False
        args = [self._compile(a, known, feature) for a in expr.args]
        for i, (_, _, is_boolean) in enumerate(args):
            if is_boolean and not (expr.op == "where" and i == 0):
                raise ValueError(f"derived feature {feature!r}: {expr.op!r} on the outcome of a comparison: use where()")
        slots = tuple(slot for slot, _, _ in args)
        level = 1 + max(level for _, level, _ in args)
        node = self._nodes.setdefault((expr.op, slots), (self._next, level, expr.op, slots))
        self._next = max(self._next, node[0] + 1)
        return node[0], node[1], expr.op in _BOOLEAN

    def matrix(self, rows: int) -> np.ndarray:
        """A work matrix, float64 (slots, rows), constants filled in; the caller fills the raw inputs."""
        work = np.empty((self.slots, rows))
        work[:] = self._template
        return work

    def run(self, work: np.ndarray) -> np.ndarray:
        """The vectors, float32 (rows, outputs), C order, of a filled work matrix (which is overwritten)."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for op, target, operands in self._steps:
                _step(op, work, work[target], operands)
            return work.take(self._outputs, 0).T.astype(np.float32, "C")


def _step(op: str, work: np.ndarray, out: np.ndarray, operands: tuple[np.ndarray, ...]) -> None:
    args: list[Any] = [work.take(o, 0) for o in operands]
    if op == "where":
        out[:] = np.where(args[0] != 0.0, args[1], args[2])
        return
    UFUNCS[op](*args, out=out)
    if op == "/":
        out[args[1] == 0.0] = np.nan
