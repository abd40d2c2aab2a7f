"""The shop whose candidates are judged, and one of them that passes: trained once."""

from __future__ import annotations

import pytest

from returnml.modeling.making.candidate import Candidate
from returnml_tests.modeling.gated import Shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="session")
def good(shop: Shop) -> Candidate:
    return shop.train(shop.snapshot())
