"""A shop's data root as an analyst meets it: :class:`Shop`, what ``returnml.open`` returns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Literal, overload

import duckdb
import polars as pl
import pyarrow as pa

from returnml.analysis.analysis_errors import NoAnswer, nearest
from returnml.analysis.explanation import Explanation, answer_of, explained
from returnml.analysis.moment_features import features_of, needed_columns
from returnml.analysis.published_tables import Days, PublishedTable, list_tables, open_published, relation
from returnml.features.feature_set import FeatureSet
from returnml.policy.document import Policy
from returnml.release.folder import Release, load_release, release_folder
from returnml.release.proof import proven_state
from returnml.root import read_root
from returnml.settings import Settings, load_settings
from returnml.tasks import CHECKOUT
from returnml.tasks.policies import policy_of
from returnml.tasks.registry import task_named, tasks

Form = Literal["polars", "arrow", "duckdb"]


def open_shop(root: str | Path | None = None) -> Shop:
    """See ``returnml.open``."""
    settings = load_settings(data=None if root is None else str(root))
    read_root(settings.paths.root)
    return Shop(settings)


class Shop:
    """Reads one published copy of a data root's tables, its releases, logs and policies. A context manager.

    It keeps the copy that was published when it was opened, whatever the line does meanwhile; open again to see the next.

    Raises:
        NotPublished: where the line has published nothing yet.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._con = open_published(settings.paths.published)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Shop({str(self.settings.paths.root)!r})"

    def tables(self) -> list[PublishedTable]:
        """Every table and ready view of the copy, with what a row is."""
        return list_tables(self._con)

    @overload
    def table(
        self, name: str, days: Days = None, *, columns: Sequence[str] | None = None, form: Literal["polars"] = "polars"
    ) -> pl.DataFrame: ...
    @overload
    def table(
        self, name: str, days: Days = None, *, columns: Sequence[str] | None = None, form: Literal["arrow"]
    ) -> pa.Table: ...
    @overload
    def table(
        self, name: str, days: Days = None, *, columns: Sequence[str] | None = None, form: Literal["duckdb"]
    ) -> duckdb.DuckDBPyRelation: ...
    def table(
        self, name: str, days: Days = None, *, columns: Sequence[str] | None = None, form: Form = "polars"
    ) -> pl.DataFrame | pa.Table | duckdb.DuckDBPyRelation:
        """Rows of a table or view.

        Args:
            name: schema-qualified, as ``tables`` lists it.
            days: a day, or ``(first, last)``, both inclusive; default: all.
            columns: in this order; default: all.
            form: ``duckdb``: a relation that reads nothing before it is asked, and lives as long as this shop is open.

        Raises:
            UnknownTable: naming the near ones.
            NoDays: where the table is not cut into days, or they are none.
        """
        found = relation(self._con, name, days, columns)
        if form == "duckdb":
            return found
        return found.to_arrow_table() if form == "arrow" else found.pl()

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """A query over the copy, read-only."""
        return self._con.sql(query)

    def features(self, moments: pl.DataFrame | pa.Table, feature_set: str = "order_line") -> pl.DataFrame:
        """What was known as of each moment: the features of a set, bit-equal to those of batch and service.

        Args:
            moments: one row each: ``requested_at`` (without a time zone: UTC) and the columns of ``moment_columns``. What
                orders say of a basket is taken from the rows that share ``order_id`` and ``requested_at``.
            feature_set: ``order_line``, ``customer`` or ``return_request``.

        Returns:
            The frame with the features as float32 columns, rows in their order; missing is NaN.

        Raises:
            MomentsError: naming what the frame lacks, or how many moments lie after what is known.
            FeatureError: for values beyond their declared bits.
        """
        frame = moments if isinstance(moments, pl.DataFrame) else pl.DataFrame(pl.from_arrow(moments))
        return features_of(self._con, self._feature_set(feature_set), frame)

    def moment_columns(self, feature_set: str = "order_line") -> tuple[str, ...]:
        """The columns that ``features`` needs of its moments."""
        return needed_columns(self._feature_set(feature_set))

    def release(self, version: str | None = None, *, task: str = CHECKOUT) -> Release:
        """A release: its manifest and verified files.

        Args:
            version: default: the one that decides about the task's rows.

        Raises:
            NoAnswer: where there is none.
            DeploymentError: where state, trail and manifests do not prove each other.
            ReleaseError: where its files do not match its manifest.
        """
        paths = self.settings.paths
        if version is None:
            version = proven_state(self.settings, task_named(task).name).champion
            if version is None:
                raise NoAnswer(f"{task}: no release decides yet: returnml run, or returnml release approve")
        known = [found.name for found in paths.releases.iterdir() if found.is_dir()] if paths.releases.is_dir() else []
        if version not in known:
            raise NoAnswer(f"release {version!r}: there is none; {nearest(version, known)}")
        return load_release(release_folder(paths.releases, version))

    def explain(self, request_id: str, day: date | None = None, *, events: int = 3) -> Explanation:
        """An answer of the service taken apart: reasons, inputs, features, and the events behind every window.

        Args:
            day: of the answer (UTC); default: it is sought, newest first.
            events: how many of the latest events of each key to name.

        Raises:
            NoAnswer: where the log has none.
            LogError, ReplayError, ReleaseError: where log or release cannot be used.
        """
        return explained(self._con, self.settings.paths, answer_of(self.settings.paths, request_id, day), events)

    def policy(self, task: str = CHECKOUT) -> Policy:
        """The policy that decides about a task's rows.

        Raises:
            TaskError: naming the tasks that there are.
            PolicyError: where the policy's file cannot be read.
        """
        return policy_of(task_named(task), self.settings)

    def close(self) -> None:
        """Let go of the copy; relations of it cannot be read any more."""
        self._con.close()

    def _feature_set(self, name: str) -> FeatureSet:
        known = {task.feature_set.name: task.feature_set for task in tasks().values()}
        if name not in known:
            raise NoAnswer(f"feature set {name!r}: there is none; {nearest(name, known)}")
        return known[name]
