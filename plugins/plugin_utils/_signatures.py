# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signatures of one artifact in a store: one object a document and key, put once, so a new key adds one."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..module_utils._artifact import signature
from ..module_utils._core.errors import ContainerlessError
from ._keys import SIGNED, Keys
from ._store import Put, Store

if t.TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = re.compile(rf"({SIGNED})\.([0-9a-f]{{16}})\.sig")


@dataclass(frozen=True)
class Signatures:
    """What stands beside an artifact. Nothing here is checked against a key; `_signing` does that."""

    store: Store
    keys: Keys
    content_id: str

    def of(self, name: str, fingerprints: Iterable[str] = ()) -> list[bytes]:
        """Return the signatures of a document. A store that can't list is asked for those of the fingerprints."""
        found = (self.store.get(key) for key in self._keys(name, fingerprints) if _document(key) == name)
        return [armored for armored in found if armored is not None]

    def all(self) -> dict[str, bytes]:
        """Return all signatures by their keys in the store; none of a store that can't list."""
        found = ((key, self.store.get(key)) for key in self._keys("", ()))
        return {key: armored for key, armored in found if armored is not None}

    def by(self, name: str, fingerprint: str) -> bytes | None:
        """Return the signature of a document by one key, or None."""
        return self.store.get(self.keys.signature(self.content_id, name, fingerprint))

    def document(self, name: str) -> bytes | None:
        """Return the bytes of a document that is or could be signed, or None."""
        return self.store.get(self.keys.document(self.content_id, name))

    def put(self, name: str, armored: bytes) -> bool:
        """Put a signature of a document that is there; False when this one is there already."""
        key, _namespace = signature.read(armored)
        if self.document(name) is None:
            raise ContainerlessError(
                f"{self.store.name} has no {self.keys.document(self.content_id, name)} to be signed"
            )
        return self._put(self.keys.signature(self.content_id, name, key.fingerprint), armored)

    def forget(self, name: str) -> None:
        """Remove the signatures of a document that is going to be replaced."""
        for key in self._keys(name, ()):
            if _document(key) == name:
                self.store.delete(key)

    def missing_in(self, other: Signatures) -> dict[str, bytes]:
        """Return by their keys the signatures that a copy of the artifact would add elsewhere."""
        found = self.all()
        same = {name for name in {_document(key) for key in found} if self._is_same(other, name)}
        return {
            key: armored for key, armored in found.items() if _document(key) in same and other.store.head(key) is None
        }

    def copy_to(self, other: Signatures) -> bool:
        """Add elsewhere what is missing there; False when nothing is."""
        missing = self.missing_in(other)
        for key, armored in missing.items():
            other._put(key, armored)
        return bool(missing)

    def _is_same(self, other: Signatures, name: str) -> bool:
        # Another builder's provenance of the same bytes, or another test of them, has signatures of its own.
        theirs = other.document(name)
        return theirs is None or theirs == self.document(name)

    def _keys(self, name: str, fingerprints: Iterable[str]) -> list[str]:
        try:
            keys = self.store.list(self.keys.signatures(self.content_id))
        except ContainerlessError:  # a web server that only serves files
            keys = [self.keys.signature(self.content_id, name, by) for by in sorted(fingerprints)]
        return [key for key in keys if _document(key)]

    def _put(self, key: str, armored: bytes) -> bool:
        outcome = self.store.put_once(key, armored)
        if outcome is Put.CONFLICT:
            raise ContainerlessError(f"{key} in {self.store.name} is there with other bytes, and is never overwritten")
        return outcome is Put.CREATED


def _document(key: str) -> str:
    """Return which document a key of the store is a signature of; empty for anything else."""
    found = _NAME.fullmatch(PurePosixPath(key).name)
    return found.group(1) if found else ""
