"""What must hold of a training snapshot, for the asset's checks and for the gate."""

from __future__ import annotations

from returnml.features.windows import DAY_US
from returnml.modeling.snapshot import Snapshot, SnapshotError, verify_snapshot
from returnml.settings import LabelSettings


def check_snapshot(snapshot: Snapshot, label: LabelSettings) -> dict[str, str]:
    """What is wrong, by check; the empty text where the check holds."""
    manifest = snapshot.manifest
    try:
        verify_snapshot(snapshot)
        broken = ""
    except SnapshotError as error:
        broken = str(error)
    # a line that only has a flag matures at the end of its window
    young = manifest.last_ordered_at_us > manifest.cut_off_us - label.window_days * DAY_US
    mixed = 0 < manifest.returned < manifest.rows
    return {
        "hash_holds": broken,
        "both_classes": "" if mixed else f"{manifest.returned} of {manifest.rows} lines came back",
        "all_mature": f"the youngest line was ordered less than {label.window_days} days before the cut-off" if young else "",
    }
