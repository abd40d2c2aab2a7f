"""The code location reads its data root when it is imported: tests must never see a developer's own."""

import os
import tempfile

os.environ["RETURNML_DATA"] = tempfile.mkdtemp(prefix="returnml-tests-")
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
