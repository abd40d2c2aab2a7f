"""A feature set: declarations, and the hash by which everything that was made with them is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from returnml.features.declarations import FeatureDeclarations
from returnml.features.semantics import semantics_hash


@dataclass(frozen=True)
class FeatureSet(FeatureDeclarations):
    """The ordered, versioned list of model inputs.

    Attributes:
        hash: sha256 (hex) over everything that decides a value: the declarations, and what the shared code answers to fixed
            inputs (``semantics``). Rewording a description does not change it.
    """

    @cached_property
    def hash(self) -> str:
        return semantics_hash(self)
