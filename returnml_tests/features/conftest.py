import pytest

from returnml_tests.features.engines import ENGINES, EngineWarehouse


@pytest.fixture(scope="session", params=ENGINES.values(), ids=ENGINES)
def engine(request: pytest.FixtureRequest) -> type[EngineWarehouse]:
    """One after the other every SQL engine: call it for an empty warehouse."""
    return request.param
