"""A plan: named steps, the expressions that read what they leave, and the relation that joins it.

Belongs here: plans as data and as text. Must not be here: declarations, a connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from returnml.features.sql.engine import Engine


@dataclass(frozen=True)
class Materialise:
    """Keep the rows of a query under a name."""

    name: str
    query: str

    def sql(self, engine: Engine) -> str:
        return engine.materialise(self.name, self.query)

    def reads(self, name: str) -> bool:
        return _names(self.query, name)


@dataclass(frozen=True)
class Drop:
    """Drop what a step stored."""

    name: str

    def sql(self, engine: Engine) -> str:
        return engine.drop(self.name)


Step = Materialise | Drop


@dataclass(frozen=True)
class Plan:
    """What is to be run, in order, and what is then there to be read.

    Attributes:
        spine: the name of the encoded spine, one row for each moment: ``mid`` from 0 on.
        steps: to be run one after the other.
        expressions: SQL by raw name, reading the spine as ``s`` and the results by their names.
        results: what the steps leave: at most one row for each ``mid``.
    """

    engine: Engine
    spine: str
    steps: tuple[Step, ...]
    expressions: Mapping[str, str]
    results: tuple[str, ...]

    @property
    def leftovers(self) -> tuple[str, ...]:
        """What is to be dropped when all has been read."""
        dropped = {step.name for step in self.steps if isinstance(step, Drop)}
        return tuple(step.name for step in self.steps if isinstance(step, Materialise) and step.name not in dropped)

    def relation(self, where: str = "true") -> str:
        """The FROM clause that joins the spine ``s`` with all results, for the rows that meet a condition on ``mid``."""
        joins = [f"left join (select * from {name} where {where}) as {name} on {name}.mid = s.mid" for name in self.results]
        return "\n".join([f"from (select * from {self.spine} where {where}) as s", *joins])

    def only(self, names: Iterable[str]) -> Plan:
        """What the expressions of some raw names need, and nothing else.

        Raises:
            KeyError: naming what has no expression.
        """
        expressions = {name: self.expressions[name] for name in names}
        results = tuple(r for r in self.results if any(_names(e, r) for e in expressions.values()))
        needed = {self.spine, *results}
        for step in reversed(self.steps):
            if isinstance(step, Materialise) and step.name in needed:
                needed |= {other.name for other in self.steps if step.reads(other.name)}
        steps = tuple(step for step in self.steps if step.name in needed)
        return replace(self, steps=steps, expressions=expressions, results=results)

    def text(self) -> str:
        """The whole as a script: every step, the query that reads the values, and what is dropped at last."""
        columns = listed(f"{e} as {self.engine.quote(n)}" for n, e in self.expressions.items())
        values = f"select s.moment_id,\n  {columns}\n{self.relation()}"
        parts = [f"-- {number}. {step.name}\n{step.sql(self.engine)};\n" for number, step in enumerate(self.steps, 1)]
        parts.append(f"-- values\n{values};\n")
        return "\n".join([*parts, *(f"{self.engine.drop(name)};" for name in self.leftovers), ""])


def listed(columns: Iterable[str], indent: int = 2) -> str:
    """A list in SQL, one entry a line."""
    return (",\n" + " " * indent).join(columns)


def _names(sql: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", sql) is not None
