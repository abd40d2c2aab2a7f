"""Who was forgotten, by pseudonym: when, by whom and why. An append-only trail like that of deployments.

Its head lies beside it (``erasures.head.json``); the ledger has every erasure as well, which says whom the trail must name.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from returnml.clock import Clock
from returnml.files import (
    UNDECODABLE,
    locked,
    readable_json,
    replace_file,
    sha256,
)
from returnml.findings import Finding, damages
from returnml.release import trail
from returnml.release.plain import NotPlain, read_plain
from returnml.release.seal import UNSIGNED, Seal, SealError
from returnml.release.trail import GENESIS, Head, TrailError, heads, lines, mend_command, records_of

ERASURES = "erasures"


class Erasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One forgotten customer; ``seq`` is the erasure's position in the event ledger."""

    pseudonym: str
    at_us: int
    by: str
    why: str
    seq: int
    previous: str = GENESIS
    signature: str | UnsetType = UNSET


class Accepted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's word that a damaged trail goes on as it is now, and the head that it had before."""

    at_us: int
    by: str
    why: str
    found: str
    before: Head | None
    kept: str | None


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the trail ends, and what was accepted on the way."""

    head: Head
    accepted: list[Accepted] = []


def head_path(path: Path) -> Path:
    """The head beside the trail."""
    return path.with_name(f"{path.stem}.head.json")


def record_erasure(path: Path, erasure: Erasure, seal: Seal = UNSIGNED) -> Erasure:
    """Append an erasure, unless the pseudonym's is there; returns the one that is there.

    Raises:
        TrailError: where the trail cannot be trusted, or the key not be used; nothing is appended.
    """
    with _turn(path):
        records = read_erasures(path, seal)
        anchor = _anchor(path) or Anchor(head=Head())
        found = next((known for known in records if known.pseudonym == erasure.pseudonym), None)
        if found is None:
            chained = msgspec.structs.replace(erasure, previous=heads(lines(path))[-1].sha256)
            try:
                found = trail.signed(path, chained, seal)
            except SealError as error:
                raise TrailError(str(error)) from error
            trail.append(path, found)
        _write(path, anchor, heads(lines(path))[-1])
        return found


def read_erasures(path: Path, seal: Seal = UNSIGNED) -> list[Erasure]:
    """All erasures, oldest first.

    Raises:
        TrailError: with every damage, as the first line whose chain is broken.
    """
    records, findings = prove_erasures(path, seal)
    found = damages(findings)
    if found:
        raise TrailError("; ".join(str(finding) for finding in found))
    return records


def prove_erasures(
    path: Path, seal: Seal = UNSIGNED, in_ledger: Iterable[str] | None = None
) -> tuple[list[Erasure], list[Finding]]:
    """The erasures, and what does not agree.

    Args:
        in_ledger: pseudonyms that the event ledger says are forgotten; None: it is not asked.
    """
    anew, as_it_is = mend_command(ERASURES, "--begin-anew"), mend_command(ERASURES, "--trust trail")
    backup = "bring trail and head back from one backup; where there is none: "
    try:
        anchor = _anchor(path)
        found = lines(path)
        while (again := _anchor(path)) != anchor:
            anchor, found = again, lines(path)
        records, ends = records_of(path, found, Erasure), heads(found)
    except TrailError as error:
        return [], [_damage("trail_broken", path, str(error), "Records or the head were changed.", backup + anew)]
    findings = []
    if anchor is None and len(records) > 1:
        text, meaning = "no head of the trail", "It is from before trails were anchored, or the head was removed."
        findings.append(_damage("unanchored", path, text, meaning, "returnml trail anchor"))
    head = anchor.head if anchor is not None else Head()
    if head.count > len(records):
        text = f"{len(records)} records, but the head is of {head.count}"
        findings.append(_damage("trail_shortened", path, text, "Records were dropped.", backup + anew))
    elif head.sha256 != ends[head.count].sha256 or (anchor is not None and head.count < len(records) - 1):
        text = f"record {head.count} of {len(records)} is not the one that the head is of"
        meaning = "A record was altered, the trail was written anew, or an older head was put back."
        findings.append(_damage("trail_differs", path, text, meaning, backup + as_it_is))
    elif records and not findings:
        findings += _unsigned(path, records[-1], head if head.count == len(records) else None, seal)
    absent = set(in_ledger or ()) - {record.pseudonym for record in records}
    if absent:
        text = f"{len(absent)} customers are forgotten in the ledger and not in the trail, {min(absent)} among them"
        meaning = "Records were dropped, or a forgetting was killed: then `returnml forget --again` finishes it."
        findings.append(_damage("erasure_unrecorded", path, text, meaning, anew))
    return records, findings


def anchor_erasures(path: Path, seal: Seal = UNSIGNED) -> str:
    """Upgrade a trail from before it had a head, or from before there was a key; returns what was done, or nothing.

    Raises:
        TrailError: where it is damaged otherwise, or the key cannot be used; nothing is written then.
    """
    with _turn(path):
        records, findings = prove_erasures(path, seal)
        found = damages(findings)
        if any(f.code not in ("unanchored", "unsigned") for f in found):
            raise TrailError("; ".join(str(f) for f in found))
        if not found and (not records or _anchor(path) is not None):
            return ""
        try:
            head = trail.sign_head(path, records[-1], heads(lines(path))[-1], seal)
        except SealError as error:
            raise TrailError(str(error)) from error
        _write(path, _anchor(path) or Anchor(head=head), head)
        return "anchored"


def mend_erasures(
    path: Path, in_ledger: Iterable[Erasure], *, is_anew: bool, by: str, why: str, clock: Clock, seal: Seal = UNSIGNED
) -> int:
    """Go on with a damaged trail by a person's word, which the head keeps; what was there is kept beside it.

    Args:
        in_ledger: erasures as the ledger has them: those that the trail lacks are put into it.
        is_anew: whether the chain is made anew, of every record that can be read; else it is whole and taken as it is.

    Returns:
        How many erasures were put into it.

    Raises:
        TrailError: if nothing is wrong, the chain must be made anew, nobody or no reason is named, or the key cannot be used.
    """
    if not (by.strip() and why.strip()):
        raise TrailError(f"{path}: `by` or `why` is blank; who and why are kept")
    with _turn(path):
        told = list(in_ledger)
        records, findings = prove_erasures(path, seal, [erasure.pseudonym for erasure in told])
        found = damages(findings)
        if not found:
            raise TrailError(f"{path}: trail, head and ledger agree: there is nothing to mend")
        if not is_anew and any(f.code == "trail_broken" for f in found):
            raise TrailError(f"{path}: its chain is broken: it can only begin anew")
        try:
            before = _anchor(path)
        except TrailError:
            before = None
        known = records if records else list(_readable(lines(path)))
        absent = [e for e in told if e.pseudonym not in {record.pseudonym for record in known}]
        kept = trail.set_aside(path)
        content, previous = [], GENESIS
        try:
            for erasure in [*known, *absent]:
                plain = msgspec.structs.replace(erasure, previous=previous, signature=UNSET)
                content.append(msgspec.json.encode(trail.signed(path, plain, seal)))
                previous = sha256(content[-1])
        except SealError as error:
            raise TrailError(str(error)) from error
        replace_file(path, b"".join(line + b"\n" for line in content))
        word = Accepted(
            at_us=clock.now_us(),
            by=by,
            why=why,
            found="; ".join(f"{f.code}: {f.what}" for f in found),
            before=before.head if before else None,
            kept=kept,
        )
        _write(path, Anchor(head=Head(), accepted=[*(before.accepted if before else []), word]), heads(content)[-1])
        return len(absent)


def _readable(found: Iterable[bytes]) -> Iterable[Erasure]:
    for line in found:
        try:
            yield msgspec.json.decode(line, type=Erasure)
        except UNDECODABLE:
            continue  # it stays in the file that is kept


def _unsigned(path: Path, newest: Erasure, end: Head | None, seal: Seal) -> list[Finding]:
    try:
        problem = trail.signature_problem(path, newest, end, seal)
    except SealError as error:
        return [_damage("key_unusable", path, str(error), "Nothing can be proven without the key.", "set trail.public_key")]
    if problem is None:
        return []
    return [_damage("unsigned", path, problem, "Who wrote it did not have the key.", "returnml trail anchor, if it is right")]


def _damage(code: str, where: Path, what: str, meaning: str, mend: str) -> Finding:
    is_command = mend.startswith("returnml ") and "," not in mend
    return Finding(code=code, where=str(where), what=what, meaning=meaning, mend=mend, is_command=is_command)


def _anchor(path: Path) -> Anchor | None:
    file = head_path(path)
    try:
        return msgspec.json.decode(read_plain(file.parent, file.name), type=Anchor)
    except FileNotFoundError:
        return None
    except (*UNDECODABLE, NotPlain) as error:
        raise TrailError(f"{file}: {error}") from error


def _write(path: Path, anchor: Anchor, head: Head) -> None:
    """The head, where it moved."""
    if _is_same(anchor, head) and head_path(path).exists():
        return
    replace_file(head_path(path), readable_json(msgspec.structs.replace(anchor, head=head)))


def _is_same(anchor: Anchor, head: Head) -> bool:
    return (anchor.head.count, anchor.head.sha256) == (head.count, head.sha256) and head.signature is UNSET


def _turn(path: Path) -> AbstractContextManager[None]:
    return locked(path.with_name(f".{path.name}.lock"))
