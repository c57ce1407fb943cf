# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who signs an artifact, and whose signature counts."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..module_utils._artifact import signature
from ..module_utils._artifact.signature import NAMESPACES, SignatureError
from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._repository import Repository
    from ._signatures import Signatures

ARTIFACT = ("manifest", "provenance")
UNSIGNED = "unsigned"


@dataclass(frozen=True)
class Signer:
    """A key of OpenSSH: the path of a private one, or of a public one whose private half an agent holds."""

    key: str

    def try_out(self) -> None:
        """Raise when the key can't sign: before a build, not after it."""
        signature.sign(b"", self.key, NAMESPACES["manifest"])

    def sign_artifact(self, repository: Repository, content_id: str, *, check_mode: bool = False) -> bool:
        """Sign manifest and provenance of a published artifact; False when this key has signed both."""
        return self._sign(repository.signatures(content_id), ARTIFACT, check_mode)

    def sign_record(self, repository: Repository, content_id: str, name: str, *, check_mode: bool = False) -> bool:
        """Sign a test record of an artifact; False when this key has signed it."""
        return self._sign(repository.signatures(content_id), (f"record-{name}",), check_mode)

    def _sign(self, signatures: Signatures, names: Sequence[str], check_mode: bool) -> bool:
        own = signature.public_key(self.key)
        unsigned = [name for name in names if not _is_signed(signatures, name, own)]
        if not check_mode:
            for name in unsigned:
                signatures.put(name, signature.sign(_document(signatures, name), self.key, _namespace(name)))
        return bool(unsigned)


def signed_by(repository: Repository, content_id: str, signers: Sequence[str]) -> str:
    """Return who signed an artifact: a name out of `signers`, lines of allowed signers of ssh-keygen(1).

    Without signers nothing is required, and the answer says that nothing was checked. Raises ContainerlessError.
    """
    signatures = repository.signatures(content_id)
    if signers:
        return check(signatures, ARTIFACT, signers)
    found = signatures.of("manifest")
    return ", ".join(f"{_shown(armored)} (not checked)" for armored in found) or UNSIGNED


def check_record(repository: Repository, content_id: str, name: str, signers: Sequence[str]) -> str:
    """Return who signed a test record. Raises ContainerlessError when nobody whom `signers` allow."""
    return check(repository.signatures(content_id), (f"record-{name}",), signers)


def check_copy(source: Repository, target: Repository, content_id: str, signers: Sequence[str]) -> str:
    """Return who signed what stands in `target` after a copy of an artifact.

    What is in `target` already stays; its documents may differ from those of `source`, as two builders' provenances do.
    Raises ContainerlessError.
    """
    places = (target, source) if target.has_artifact(content_id) else (source, target)
    if not signers:
        return signed_by(places[0], content_id, ())
    ours, theirs = (place.signatures(content_id) for place in places)
    return check(ours, ARTIFACT, signers, also=theirs)


def check(signatures: Signatures, names: Iterable[str], signers: Sequence[str], also: Signatures | None = None) -> str:
    """Return who signed the first of the named documents, all of which need a good signature.

    `also` is another store whose signatures count for the documents of this one: a copy brings them. Raises.
    """
    allowed = "\n".join(signers)
    ours = [line.key.fingerprint for line in signature.allowed(allowed)]
    found = []
    for name in names:
        armored = [one for place in (signatures, also) if place for one in place.of(name, ours)]
        document = _document(signatures, name)
        try:
            found.append(signature.verify(document, dict.fromkeys(armored), allowed, _namespace(name)))
        except SignatureError as exc:
            raise ContainerlessError(
                f"artifact {signatures.content_id[:12]} is refused for its {_said(name)}: {exc};"
                " sign it by a key that app_signers allows (app_build_signing_key)"
            ) from None
    return found[0]


def _is_signed(signatures: Signatures, name: str, fingerprint: str) -> bool:
    armored = signatures.by(name, fingerprint)
    if armored is None:
        return False
    try:
        signature.check(_document(signatures, name), armored, _namespace(name))
    except SignatureError as exc:
        key = signatures.keys.signature(signatures.content_id, name, fingerprint)
        raise ContainerlessError(f"{key} in {signatures.store.name} is damaged ({exc}); remove it") from None
    return True


def _document(signatures: Signatures, name: str) -> bytes:
    data = signatures.document(name)
    if data is None:
        raise ContainerlessError(
            f"artifact {signatures.content_id[:12]} has no {_said(name)} in {signatures.store.name}"
        )
    if name == "manifest" and canonical.sha256(data) != signatures.content_id:
        raise ContainerlessError(f"the manifest of artifact {signatures.content_id[:12]} was changed in the store")
    return data


def _namespace(name: str) -> str:
    return NAMESPACES.get(name, NAMESPACES["test-record"])


def _said(name: str) -> str:
    return name if name in ARTIFACT else f"test record ({name.removeprefix('record-')})"


def _shown(armored: bytes) -> str:
    try:
        return str(signature.read(armored)[0])
    except SignatureError:
        return "damaged signature"
