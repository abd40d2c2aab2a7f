"""What all assets of the line share: partitions, pool, retries, owner, column schema."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from returnml.pipeline.partitions import PARTITIONS_TAG
from returnml.pipeline.resources.retry import RETRY
from returnml.pipeline.resources.warehouse_resource import POOL
from returnml.settings import Settings

OWNERS = ["team:data-ml"]


def column_schema(columns: Mapping[str, str], descriptions: Mapping[str, str] | None = None) -> dg.TableSchema:
    """Dagster's schema of a table: column to SQL type."""
    about = descriptions or {}
    return dg.TableSchema([dg.TableColumn(name, kind, about.get(name)) for name, kind in columns.items()])


def same_columns(columns: Sequence[str], *upstream: tuple[str, Sequence[str]]) -> dg.TableColumnLineage:
    """Lineage of columns that are copied under their name from the upstream assets that have them."""
    return dg.TableColumnLineage(
        {
            name: deps
            for name in columns
            if (deps := [dg.TableColumnDep(dg.AssetKey(asset), name) for asset, held in upstream if name in held])
        }
    )


def table_asset(
    key: str | dg.AssetKey,
    *,
    table: str | None,
    group: str,
    deps: Sequence[str | dg.AssetKey],
    description: str,
    is_partitioned: bool = True,
    is_daily: bool = True,
    touches_warehouse: bool = True,
    columns: dg.TableSchema | None = None,
    lineage: dg.TableColumnLineage | None = None,
    checks: Sequence[dg.AssetCheckSpec] = (),
    kinds: set[str] | None = None,
    **more: Any,
) -> Callable[[Callable], dg.AssetsDefinition]:
    """``dg.asset`` with everything that is the same for all of them.

    Args:
        key: a string is a key of one part.
        table: the warehouse table, schema-qualified, if it is one.
        is_partitioned: whether it is cut into days; ``build_defs`` says which.
        is_daily: whether the daily job must have written it by the morning.
    """
    metadata: dict[str, Any] = {}
    if table is not None:
        metadata["dagster/table_name"] = table
    if columns is not None:
        metadata["dagster/column_schema"] = columns
    if lineage is not None:
        metadata["dagster/column_lineage"] = lineage
    return dg.asset(
        key=dg.AssetKey(key) if isinstance(key, str) else key,
        group_name=group,
        deps=[dg.AssetKey(dep) if isinstance(dep, str) else dep for dep in deps],
        description=description,
        backfill_policy=dg.BackfillPolicy.single_run() if is_partitioned else None,
        pool=POOL if touches_warehouse else None,
        retry_policy=RETRY,
        owners=OWNERS,
        kinds=kinds or {"duckdb", "sql"},
        tags={
            "stage": group,
            "cadence": "daily" if is_daily else "training",
            **({PARTITIONS_TAG: "daily"} if is_partitioned else {}),
        },
        metadata=metadata,
        check_specs=list(checks),
        **more,
    )


def artifact_asset(
    key: dg.AssetKey, *, ins: Mapping[str, dg.AssetKey], group: str = "training", deps: Sequence[dg.AssetKey] = (), **more: Any
) -> Callable[[Callable], dg.AssetsDefinition]:
    """An asset of training whose value is the name of what was written below the data root.

    Args:
        ins: by parameter the assets whose names it takes.
        **more: see ``table_asset``.
    """
    return table_asset(
        key,
        table=None,
        group=group,
        deps=deps,
        ins={name: dg.AssetIn(upstream) for name, upstream in ins.items()},
        is_partitioned=False,
        is_daily=False,
        touches_warehouse=False,
        dagster_type=dg.String,
        **more,
    )


def picture(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A plot as metadata, which Dagster's UI shows."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")


def below(settings: Settings, path: Path) -> dg.PathMetadataValue:
    """A path as metadata, from the data root: true of a root that was moved or copied too."""
    return dg.MetadataValue.path(path.relative_to(settings.paths.root))


def written(rows: int, content_hash: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Materialization metadata: rows of the partitions written, content hash and the rest."""
    found: dict[str, Any] = {"dagster/partition_row_count": rows}
    if content_hash is not None:
        found["content_hash"] = content_hash
    return found | metadata
