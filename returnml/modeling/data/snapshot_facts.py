"""What must hold of a training snapshot, for the asset's checks and for the gate."""

from __future__ import annotations

from returnml.features.windows import DAY_US
from returnml.modeling.data.snapshot import (
    Snapshot,
    SnapshotError,
    verify_snapshot,
)


def check_snapshot(snapshot: Snapshot) -> dict[str, str]:
    """What is wrong, by check; the empty text where the check holds."""
    manifest = snapshot.manifest
    try:
        verify_snapshot(snapshot)
        broken = ""
    except SnapshotError as error:
        broken = str(error)
    # a label that only a flag tells matures at the end of its window
    window_days = manifest.label.window_days
    young = manifest.last_anchor_us > manifest.cut_off_us - window_days * DAY_US
    mixed = 0 < manifest.positives < manifest.rows
    return {
        "hash_holds": broken,
        "both_classes": "" if mixed else f"{manifest.positives} of {manifest.rows} labels are 1",
        "all_mature": f"the youngest label began less than {window_days} days before the cut-off" if young else "",
    }
