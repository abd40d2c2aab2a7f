"""The reference beside which the service is measured: the same framework and model, no contract, no features.

``POST /score {"rows": [[...]]}`` decodes a matrix and runs the graph.
"""

from __future__ import annotations

import msgspec
import numpy as np
from litestar import Litestar, post

from returnml.features.sets.order_line import ORDER_LINE
from returnml.release.deployment import read_state
from returnml.release.folder import load_release
from returnml.settings import load_settings
from returnml.tasks import CHECKOUT
from serving.scoring.released_model import Model


class Rows(msgspec.Struct):
    rows: list[list[float | None]]


class Probabilities(msgspec.Struct):
    probabilities: list[float]


def create_app() -> Litestar:
    """The application, on the champion of the settings' data root."""
    paths = load_settings().paths
    model = Model(load_release(paths.releases / str(read_state(paths.deployment_state(CHECKOUT)).champion)), ORDER_LINE)

    @post("/score", status_code=200)
    async def score(data: Rows) -> Probabilities:
        return Probabilities(model.probability(np.array(data.rows, np.float32)).tolist())

    return Litestar([score], openapi_config=None)
