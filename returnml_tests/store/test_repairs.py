"""Each damage that ``store verify`` names, and the command that it names for it: afterwards it finds nothing."""

from datetime import datetime

import pytest
from typer.testing import CliRunner

from returnml.cli import app
from returnml.clock import FileClockDriver
from returnml.instants import instant_us
from returnml.settings import DataPaths, Settings
from returnml.store.backend import EVENTS, STATE
from returnml.store.backend_choice import open_backend
from returnml.store.generation import open_generation
from returnml.store.live import LiveStore
from returnml.store.proving.verification import verify_store
from returnml.tasks.live_sets import FEATURE_SETS
from returnml.warehouse.ingest.outcomes import build_outcomes
from returnml.warehouse.partition import open_warehouse
from returnml.warehouse.publishing.publication import publish_warehouse
from returnml_tests.redis_server import PREFIX, client_of
from returnml_tests.roots import rooted
from returnml_tests.warehouse.conftest import D1, Shop, order
from returnml_tests.warehouse.ledger_shop import LedgerShop, placed

GO_LIVE, NOON = datetime(2024, 5, 2), datetime(2024, 5, 2, 12)


class Damaged:
    """A published shop with an event after it, on one of the backends."""

    def __init__(self, root, backend):
        self.paths, self.backend = DataPaths(root), backend
        self.folder = self.paths.store / str(backend.published())
        self.served = FEATURE_SETS[0]

    def change(self, file):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    def generation_bit(self):
        self.change(self.folder / "data.mdb")

    def generation_gone(self):
        (self.folder / "data.mdb").unlink()

    def manifest_changed(self):
        file = self.folder / "manifest.json"
        file.write_text(file.read_text().replace("content_sha256", "contents"))

    def live_value(self):
        with self.backend.writing() as turn:
            key, value = next(iter(turn.items(STATE)))
            turn.put(STATE, bytes(key), bytes([value[0] ^ 1]) + bytes(value[1:]))

    def verdict(self):
        with self.backend.writing() as turn:
            key, _ = next(iter(turn.items(EVENTS)))
            turn.delete(EVENTS, bytes(key))

    def live_lost(self):
        (self.paths.store / "live").rename(self.paths.root / "lost")

    def loaded_value(self):
        """Another value of the same length: the number of keys and the manifest are as they were."""
        key, value = next(iter(open_generation(self.folder, self.served).items()))
        client_of(self.backend).hset(self._loaded(), key, bytes([value[0] ^ 1]) + value[1:])

    def loaded_key(self):
        key, _ = next(iter(open_generation(self.folder, self.served).items()))
        client_of(self.backend).hdel(self._loaded(), key)

    def loaded_manifest(self):
        client = client_of(self.backend)
        text = client.hget(self._loaded(), b"\xff").replace(b'"ledger_seq":0', b'"ledger_seq":1')
        client.hset(self._loaded(), b"\xff", text)

    def loaded_gone(self):
        client_of(self.backend).delete(self._loaded())

    def meta_gone(self):
        client_of(self.backend).delete(PREFIX + "meta")

    def state_gone(self):
        client_of(self.backend).delete(*client_of(self.backend).keys(PREFIX + "t:state:*"))

    def events_gone(self):
        client_of(self.backend).delete(*client_of(self.backend).keys(PREFIX + "t:events:*"))

    def server_emptied(self):
        client_of(self.backend).flushall()

    def _loaded(self):
        return f"{PREFIX}g:{self.folder.name}"


PUBLISH, REBUILD = "returnml store publish", "returnml store rebuild"
BOTH = [
    ("generation_bit", "generation_damaged", PUBLISH),
    ("generation_gone", "generation_damaged", PUBLISH),
    ("manifest_changed", "generation_damaged", PUBLISH),
    ("live_value", "live_part_differs", REBUILD),
    ("verdict", "live_part_differs", REBUILD),
]
REDIS = [
    ("loaded_value", "loaded_generation_differs", REBUILD),
    ("loaded_key", "loaded_generation_differs", REBUILD),
    ("loaded_manifest", "loaded_generation_differs", REBUILD),
    ("loaded_gone", "loaded_generation_differs", REBUILD),
    ("meta_gone", "pointer_lost", REBUILD),
    ("state_gone", "pointer_lost", REBUILD),
    ("events_gone", "pointer_lost", REBUILD),
    ("server_emptied", "pointer_lost", REBUILD),
]
CASES = [("lmdb", *case) for case in [*BOTH, ("live_lost", "pointer_lost", REBUILD)]]
CASES += [("redis", *case) for case in [*BOTH, *REDIS]]


@pytest.fixture
def make_damaged(tmp_path, monkeypatch, request):
    def make(kind):
        root = rooted(tmp_path)
        paths = DataPaths(root)
        FileClockDriver(paths.replay_clock, instant_us(NOON))
        environ = {"RETURNML_REPLAY_CLOCK": str(paths.replay_clock)}
        if kind == "redis":
            environ |= request.getfixturevalue("redis").environ
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        store = request.getfixturevalue("redis").settings if kind == "redis" else Settings().store
        settings = Settings(data=str(root), go_live=GO_LIVE.isoformat(), store=store)
        con = open_warehouse(paths.warehouse, threads=1)
        shop = Shop(con, paths.landing, settings)
        shop.deliver("orders", D1, [order("h1", datetime(2024, 5, 1, 10))])
        live = LedgerShop(shop, root, GO_LIVE, open_backend(settings))
        live.ingest(D1)
        build_outcomes(con, D1, D1, settings.label)
        publish_warehouse(con, FEATURE_SETS, instant_us(GO_LIVE), live.backend)
        live.send(datetime(2024, 5, 2, 9), placed("a", datetime(2024, 5, 2, 9)))
        con.close()
        return Damaged(root, open_backend(settings))

    return make


@pytest.mark.parametrize(("kind", "damage", "code", "command"), CASES, ids=[f"{kind}-{damage}" for kind, damage, *_ in CASES])
def test_the_command_that_is_named_mends_it(make_damaged, kind, damage, code, command):
    shop = make_damaged(kind)
    invoke = CliRunner().invoke
    assert invoke(app, ["store", "verify", "--data", str(shop.paths.root)]).exit_code == 0
    getattr(shop, damage)()
    [finding, *_] = verify_store(shop.backend, shop.served).findings
    assert (finding.code, finding.mend.startswith(command), finding.is_command) == (code, True, True)
    shown = invoke(app, ["store", "verify", "--data", str(shop.paths.root)])
    assert (shown.exit_code, finding.mend in shown.stderr) == (1, True)
    assert ("every byte as in its manifest" in shown.output) == (code not in ("generation_damaged", "loaded_generation_differs"))
    mended = invoke(app, [*finding.mend.split()[1:], "--data", str(shop.paths.root)])
    assert mended.exit_code == 0, mended.output
    again = invoke(app, ["store", "verify", "--data", str(shop.paths.root)])
    assert again.exit_code == 0, again.output
    live = LiveStore(shop.backend, shop.served)
    live.refresh()
    assert live.read([])[0].seq == 1


@pytest.mark.parametrize(("kind", "damage"), [("redis", "meta_gone"), ("redis", "server_emptied"), ("lmdb", "live_lost")])
def test_nothing_is_answered_without_the_pointer_unless_stale_features_are_allowed(make_damaged, kind, damage):
    shop = make_damaged(kind)
    strict, lenient = LiveStore(shop.backend, shop.served), LiveStore(shop.backend, shop.served, allows_stale=True)
    for live in (strict, lenient):
        live.refresh()
        assert live.read([])[0].seq == 1
    getattr(shop, damage)()
    shop.backend.published()
    with pytest.raises(Exception, match="no generation is published"):
        strict.read([])
    snapshot = lenient.read([])[0]
    assert (snapshot.seq, snapshot.is_stale) == (0, True)
