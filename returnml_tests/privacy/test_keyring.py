"""The keyring: who is found, what stays secret, and what destroying a key leaves behind."""

from __future__ import annotations

import multiprocessing
import random
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from returnml.privacy.keyring import DATABASE_FILE, MASTER_FILE, Keyring, KeyringError, pseudonym_of
from returnml_tests.waiting import PATIENCE_SECONDS

T = TypeVar("T")
WHO = ("a clerk", "asked by letter", 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keyring(folder: Path) -> Keyring:
    return Keyring(folder, is_created=True)


def _bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def test_a_customer_is_found_under_the_pseudonym_that_they_got(keyring, folder):
    assert keyring.find("anna") is None
    given = keyring.register(["anna", "bert", "anna"])
    assert set(given) == {"anna", "bert"}
    assert len(set(given.values())) == 2
    assert all(len(name) == 22 and name.startswith("c_") and int(name[2:], 16) >= 0 for name in given.values())
    assert keyring.register(["bert", "cleo"])["bert"] == given["bert"]
    again = Keyring(folder)
    assert [again.find(name) for name in ("anna", "bert", "nobody")] == [given["anna"], given["bert"], None]


def test_two_shops_give_one_customer_two_pseudonyms(tmp_path):
    one, two = (Keyring(tmp_path / name, is_created=True).register(["anna"])["anna"] for name in ("one", "two"))
    assert one != two


def test_customer_ids_are_nowhere_in_the_files_and_others_cannot_read_them(keyring, folder):
    keyring.register([f"distinctive-{n}" for n in range(500)])
    assert b"distinctive" not in _bytes(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_any_text_is_an_id(keyring):
    names = ["", " ", "ä", "\ud800", "x" * 10_000, "a\0b", "a"]
    given = keyring.register(names)
    assert len(set(given.values())) == len(names)
    assert all(keyring.find(name) == given[name] for name in names)


def test_keys_come_from_where_they_are_asked_for_but_never_from_somebody_forgotten(keyring):
    def draw(_: str) -> bytes:
        return bytes(10)

    assert keyring.register(["anna"], draw) == {"anna": pseudonym_of(bytes(10))}
    keyring.begin_forgetting("anna", [], *WHO)
    while_pending = keyring.register(["bert"], draw)["bert"]
    keyring.finish_forgetting(pseudonym_of(bytes(10)))
    assert pseudonym_of(bytes(10)) not in (while_pending, keyring.register(["anna"], draw)["anna"])


def test_who_is_being_forgotten_is_unknown_at_once_and_pending_until_finished(keyring, folder):
    old = keyring.register(["anna", "bert"])["anna"]
    assert not keyring.begin_forgetting("nobody", [], *WHO)
    assert keyring.begin_forgetting("anna", ["l1", "l2"], *WHO)
    assert not keyring.begin_forgetting("anna", [], *WHO)
    again = Keyring(folder)
    assert again.find("anna") is None
    assert [(p.pseudonym, p.by, p.why, p.at_us) for p in again.pending()] == [(old, *WHO)]
    assert again.forgotten() == [old]
    new = again.register(["anna"])["anna"]
    again.finish_forgetting(old)
    again.purge()
    assert (again.pending(), again.forgotten(), again.find("anna")) == ([], [old], new)
    assert again.forgotten_lines() == {"l1": old, "l2": old}
    assert new != old


def test_after_the_purge_no_byte_of_a_destroyed_key_is_left(keyring, folder):
    chance = random.Random(3)
    customers = [f"customer-{n}" for n in range(6_000)]
    chance.shuffle(customers)
    for start in range(0, len(customers), 150):
        keyring.register(customers[start : start + 150])
    gone = chance.sample(customers, 40)
    tags = [keyring._tag(customer) for customer in gone]
    assert any(tag in _bytes(folder) for tag in tags)
    for customer in gone:
        name = keyring.find(customer)
        keyring.begin_forgetting(customer, [], *WHO)
        keyring.finish_forgetting(name)
        keyring.register([f"later than {customer}"])
    keyring.purge()
    left = _bytes(folder)
    assert [tag for tag in tags if tag in left] == []
    assert keyring.find(next(c for c in customers if c not in gone)) is not None


def test_a_reader_does_not_stop_a_purge_and_sees_it(keyring, folder):
    name = keyring.register(["anna"])["anna"]
    reader = Keyring(folder)
    assert reader.find("anna") == name
    keyring.begin_forgetting("anna", [], *WHO)
    keyring.finish_forgetting(name)
    keyring.purge()
    assert reader.find("anna") is None


def test_a_purge_that_a_snapshot_holds_up_says_so(keyring, folder, monkeypatch):
    name = keyring.register(["anna"])["anna"]
    reader = Keyring(folder)
    reader._con.execute("BEGIN")
    reader._con.execute("SELECT count(*) FROM customers").fetchone()
    keyring.begin_forgetting("anna", [], *WHO)
    keyring.finish_forgetting(name)
    keyring._con.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(KeyringError, match="not overwritten yet"):
        keyring.purge()
    reader._con.execute("ROLLBACK")
    keyring.purge()


def test_a_restored_keyring_loses_again_who_was_forgotten_since(keyring):
    given = keyring.register(["anna", "bert"])
    assert keyring.remove([given["anna"], pseudonym_of(bytes(10))]) == 1
    assert (keyring.find("anna"), keyring.find("bert")) == (None, given["bert"])
    assert given["anna"] in keyring.forgotten()


def test_what_cannot_be_used_is_refused_and_named(tmp_path, folder):
    with pytest.raises(KeyringError, match="there is no keyring"):
        Keyring(folder)
    assert not folder.exists()
    Keyring(folder, is_created=True).close()
    (folder / MASTER_FILE).write_text("no secret")
    with pytest.raises(KeyringError, match=f"{MASTER_FILE}: is no master secret"):
        Keyring(folder)
    (folder / MASTER_FILE).write_text("00" * 32)
    with pytest.raises(KeyringError, match="is not the secret"):
        Keyring(folder)
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / DATABASE_FILE).write_bytes(b"no database" * 100)
    with pytest.raises(KeyringError, match=str(torn)):
        Keyring(torn, is_created=True)


def _register(folder: Path, start: int, answers) -> None:
    keyring = Keyring(folder, is_created=True)
    answers.put([keyring.register([f"c{n}", f"c{n + 1}"]) for n in range(start, start + 60)])


def test_processes_that_come_at_once_agree(folder):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_register, args=(folder, start, answers)) for start in (0, 20, 40)]
    for process in processes:
        process.start()
    seen: dict[str, str] = {}
    for _ in processes:
        for given in answers.get(timeout=PATIENCE_SECONDS):
            for customer, name in given.items():
                assert seen.setdefault(customer, name) == name
    for process in processes:
        process.join()
    assert len(seen) == len(set(seen.values())) == 101


def elsewhere(act: Callable[..., T], *args: object) -> T:
    """What a process gives that comes and goes."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(act, *args).result(PATIENCE_SECONDS)


def test_who_was_registered_after_another_process_came_and_went_is_found_by_everybody(folder):
    """A worker of the service has the keyring open twice: for scores and for events."""
    for_events = [Keyring(folder, is_created=True), Keyring(folder)][1]
    for customer in ("anna", "bert"):
        elsewhere(_found, folder, ["anna"])
        for_events.register([customer])
    assert elsewhere(_found, folder, ["anna", "bert"]) == [for_events.find("anna"), for_events.find("bert")]


def _found(folder: Path, customers: list[str]) -> list[str | None]:
    with closing(Keyring(folder)) as keyring:
        return [keyring.find(customer) for customer in customers]
