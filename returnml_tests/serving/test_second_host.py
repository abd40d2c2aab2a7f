"""A second scoring host, set up as docs/serving.md says and with nothing else: it answers as the first one does."""

import re
import shutil
from pathlib import Path

import pytest
from litestar.testing import TestClient

from returnml.clock import VirtualClock
from returnml.features.sets.customer import CUSTOMER
from returnml.privacy.keyring import KEY_BYTES, Keyring, pseudonym_of
from returnml.settings import DataPaths, Settings
from returnml.store.backend_choice import open_backend
from returnml.store.generation_manifest import StoreError
from returnml.warehouse.publishing.generation_content import publish_generation
from returnml_tests.roots import rooted
from returnml_tests.serving import shop
from returnml_tests.serving.intake.test_events import placed
from serving.app import create_app

SHOP_ID = "distinctive-anna"
NAME = pseudonym_of(bytes(KEY_BYTES))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "serving.md"


def host(root, redis):
    settings = Settings(data=str(root), store=redis.settings)
    return TestClient(create_app(settings, VirtualClock(shop.now_us()), reload_seconds=0.02), raise_server_exceptions=False)


def scores(client):
    return client.post("/v1/score", json=shop.order(customer_id=SHOP_ID))


@pytest.fixture
def first(tmp_path, redis):
    """The host that imports: customer ``SHOP_ID`` is known to its keyring, and to the store by their pseudonym."""
    root = rooted(tmp_path / "first", "pseudonymise")
    con = shop.warehouse()
    for table in ("orders", "returns", "outcomes"):
        con.execute(f"UPDATE core.{table} SET customer_id = ?", [NAME])
    settings = Settings(data=str(root), store=redis.settings)
    publish_generation(con, [shop.ORDER_LINE, CUSTOMER], shop.CUT_OFF_US, open_backend(settings))
    shop.deploy(root)
    keyring = Keyring(DataPaths(root).keys)
    keyring.register([SHOP_ID], lambda _: bytes(KEY_BYTES))
    keyring.close()
    return root


def needed():
    """The rows of the table in docs/serving.md that every host needs."""
    return re.findall(r"^\| `([\w.]+?)/?` \| always", DOCS.read_text(), re.MULTILINE)


def copied(first, second, names):
    second.mkdir()
    for name in names:
        (shutil.copytree if (first / name).is_dir() else shutil.copyfile)(first / name, second / name)
    return second


def test_what_the_docs_name_is_enough(first, tmp_path, redis):
    second = copied(first, tmp_path / "second", needed())
    with host(first, redis) as one, host(second, redis) as two:
        lines = scores(one).json()["lines"]
        assert scores(two).json()["lines"] == lines
        assert lines[0]["probability"] > shop.PRIOR / 100  # somebody with a history
        assert two.get("/health/ready").json()["warnings"] == []


def test_each_of_it_is_needed_and_nothing_is_made_in_its_place(first, tmp_path, redis):
    assert sorted(needed()) == ["deployment", "keys", "releases", "root.json"]
    for missing in ("keys", "deployment", "releases"):
        second = copied(first, tmp_path / f"without {missing}", [name for name in needed() if name != missing])
        with host(second, redis) as client:
            assert (scores(client).status_code, client.get("/health/ready").status_code) == (503, 503)
            if missing == "keys":
                assert client.post("/v1/events", json=placed()).status_code == 503
        assert not (second / missing / "keyring.sqlite").exists()
    with pytest.raises(StoreError, match=r"without root\.json"):
        host(copied(first, tmp_path / "no root", [name for name in needed() if name != "root.json"]), redis)
