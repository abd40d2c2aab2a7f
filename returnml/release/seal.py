"""Ed25519 signatures of the end of a trail, where a key is set: nobody without the key can forge the trail."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from returnml.errors import Refusal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from returnml.settings import TrailSettings


class SealError(Refusal):
    """A key that cannot be used; the message names the file."""


class Seal:
    """What signs, and what is asked for.

    Args:
        signing_key: PEM file of an Ed25519 private key; held by the hosts that change what serves.
        public_key: PEM file of the public key; a host that has it trusts signed records only. Default: that of ``signing_key``.
    """

    def __init__(self, signing_key: Path | None = None, public_key: Path | None = None) -> None:
        self._signing_key = signing_key
        self._public_key = public_key

    @property
    def is_required(self) -> bool:
        """Whether heads must be signed."""
        return self._signing_key is not None or self._public_key is not None

    def sign(self, message: bytes) -> str | UnsetType:
        """The signature in hex; none where there is no key to sign with.

        Raises:
            SealError: if the key cannot be used; or only the public one is set, whose side could not trust what it writes.
        """
        if self._signing_key is None:
            if self._public_key is not None:
                raise SealError("trail.public_key is set and trail.signing_key is not: what is written here would not be signed")
            return UNSET
        _require_library()
        return self._private(self._signing_key).sign(message).hex()

    def holds(self, message: bytes, signature: str) -> bool:
        """Whether a signature is of this message and the key.

        Raises:
            SealError: if the key cannot be used.
        """
        _require_library()
        from cryptography.exceptions import InvalidSignature

        key = self._public()
        try:
            key.verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _private(self, file: Path) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(file.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise SealError(f"trail.signing_key: {file}: no private key can be read: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SealError(f"trail.signing_key: {file}: not an Ed25519 key")
        return key

    def _public(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        if self._public_key is None:
            if self._signing_key is None:
                raise SealError("trail.public_key: no key is set")
            return self._private(self._signing_key).public_key()
        try:
            key = load_pem_public_key(self._public_key.read_bytes())
        except (OSError, ValueError) as error:
            raise SealError(f"trail.public_key: {self._public_key}: no public key can be read: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SealError(f"trail.public_key: {self._public_key}: not an Ed25519 key")
        return key


def _require_library() -> None:
    if find_spec("cryptography") is None:
        raise SealError("trail.signing_key and trail.public_key need the extra returnml[signed]")


UNSIGNED = Seal()
"""Nothing is signed, and no signature is asked for."""


def seal_of(settings: TrailSettings) -> Seal:
    """By the settings ``trail.*``."""
    paths = (Path(p) if p else None for p in (settings.signing_key, settings.public_key))
    return Seal(*paths)
