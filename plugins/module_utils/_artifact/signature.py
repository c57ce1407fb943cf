# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures by OpenSSH: `ssh-keygen -Y sign` and `-Y verify` (ssh-keygen(1); format: PROTOCOL.sshsig of OpenSSH).

OpenSSH decides what a good signature is. What is read here of a signature and of a line of allowed signers only says
which lines to ask about, and why the answer was no.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass

from .._core.errors import ContainerlessError

#: A signature of one kind of document is none of another kind, whatever the bytes.
NAMESPACES = {
    "manifest": "manifest@containerless.django",
    "provenance": "provenance@containerless.django",
    "test-record": "test-record@containerless.django",
}
#: The option that holds the allowed signers, as errors name it; also the file that ssh-keygen names in its own.
OPTION = "app_signers"
KEY_OPTION = "app_build_signing_key"

_ARMOR = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\s*")
_MAGIC = b"SSHSIG\x00\x00\x00\x01"
_PERMISSION = r'cert-authority|namespaces="[^"]+"|valid-(?:after|before)="\d{8}(?:\d{4}(?:\d\d)?)?Z?"'
_LINE = re.compile(
    rf'(?:"[^"]+"|[^\s"]+)\s+(?:(?P<options>(?i:(?:{_PERMISSION})(?:,(?:{_PERMISSION}))*))\s+)?'
    r"(?P<type>[a-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s.*)?"
)
_SAID = re.compile(rf"^{OPTION}:\d+: (.+)$", re.MULTILINE)
_UNSUITABLE = {"no valid principals found": "its certificate has expired or names nobody whom the line allows"}


class SignatureError(ContainerlessError):
    """No good signature: missing, of a foreign or expired key, or of another document."""


@dataclass(frozen=True)
class Key:
    """A public key, or a certificate, as it stands in a signature."""

    blob: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key in hex."""
        return hashlib.sha256(self.blob).hexdigest()

    @property
    def is_certificate(self) -> bool:
        return b"-cert-v01@" in _string(self.blob, 0)[0]

    def __str__(self) -> str:
        """Return the key as `ssh-keygen -l` shows it; a certificate is named by its own digest."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class Allowed:
    """One line of allowed signers."""

    number: int
    text: str
    key: Key
    is_authority: bool

    def may_fit(self, key: Key) -> bool:
        """Whether ssh-keygen has to be asked about this line: its key, or an authority for a certificate."""
        return key.is_certificate if self.is_authority else key == self.key


def allowed(text: str) -> list[Allowed]:
    """Return the lines of allowed signers. Raises with the number of a line that is none."""
    found = [
        _allowed(number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not found:
        raise ContainerlessError(f"{OPTION} names no key")
    return found


def sign(data: bytes, key: str, namespace: str) -> bytes:
    """Return a signature of `data`. `key` is a private key, or a public one whose private half an agent holds.

    Never asks for a passphrase. Raises when there is no usable key.
    """
    _need_key(key)
    # An empty passphrase (-P) fails where another one is needed, instead of asking for it.
    done = _ssh_keygen("-q", "-Y", "sign", "-P", "", "-f", key, "-n", namespace, data=data)
    if done.returncode or not _ARMOR.fullmatch(done.stdout):
        raise _unusable(key, _text(done.stderr))
    return done.stdout


def verify(data: bytes, signatures: t.Iterable[bytes], allowed_signers: str, namespace: str) -> str:
    """Return the name (principal) of an allowed signer of `data`, by the first good one of several signatures.

    Validity is that of the key now, not when it signed: after an expiry documents are signed again with a new key.
    Raises SignatureError with what is wrong with each signature.
    """
    lines = allowed(allowed_signers)
    faults = []
    for armored in signatures:
        principal, fault = _verify(data, armored, lines, namespace)
        if principal:
            return principal
        faults.append(fault)
    raise SignatureError("; ".join(faults) or "there is no signature")


def check(data: bytes, armored: bytes, namespace: str) -> Key:
    """Return the key of a signature that belongs to `data`, whoever made it. Raises SignatureError."""
    key, found = read(armored)
    if found != namespace:
        raise SignatureError(f"the signature by {key} is for namespace {found[:100]!r}, not {namespace!r}")
    with _folder(signature=armored) as folder:
        done = _ssh_keygen("-Y", "check-novalidate", "-n", namespace, "-s", "signature", data=data, cwd=folder)
    if done.returncode:
        raise SignatureError(f"the document is not the one that {key} signed: it was changed afterwards")
    return key


def read(armored: bytes) -> tuple[Key, str]:
    """Return key and namespace of a signature, unchecked. Raises SignatureError when it is none."""
    found = _ARMOR.fullmatch(armored)
    try:
        raw = base64.b64decode(found.group(1)) if found else b""
        if not raw.startswith(_MAGIC):
            raise SignatureError("what should be a signature is none that ssh-keygen made")
        blob, after = _string(raw, len(_MAGIC))
        _string(blob, 0)
        return Key(blob), _string(raw, after)[0].decode()
    except (binascii.Error, ValueError):
        raise SignatureError("what should be a signature is damaged") from None


def public_key(path: str) -> str:
    """Return the fingerprint in hex of the key that `sign` would use; works for an encrypted one. Raises."""
    _need_key(path)
    if path.endswith(".pub"):
        with open(path, encoding="utf-8", errors="replace") as file:
            fields = file.read().split()
        try:
            return Key(base64.b64decode(fields[1], validate=True)).fingerprint
        except (IndexError, binascii.Error):
            raise ContainerlessError(f"{KEY_OPTION} {path} is no public key of OpenSSH") from None
    done = _ssh_keygen("-l", "-E", "sha256", "-f", path)
    found = re.search(r"SHA256:([A-Za-z0-9+/]{43})", _text(done.stdout))
    if found is None:
        raise _unusable(path, _text(done.stderr or done.stdout))
    return base64.b64decode(found.group(1) + "=").hex()


def _allowed(number: int, text: str) -> Allowed:
    found = _LINE.fullmatch(text)
    try:
        blob = base64.b64decode(found.group("key"), validate=True) if found else b""
        if found and _string(blob, 0)[0] == found.group("type").encode():
            return Allowed(number, text, Key(blob), "cert-authority" in (found.group("options") or "").lower())
    except (binascii.Error, ValueError):
        pass
    raise ContainerlessError(
        f"{OPTION} line {number} is none of ALLOWED SIGNERS in ssh-keygen(1); it should be such as"
        ' ann@example.org valid-before="20301231" ssh-ed25519 AAAA...'
    )


def _verify(data: bytes, armored: bytes, lines: list[Allowed], namespace: str) -> tuple[str, str]:
    """Return the principal of one signature, or an empty one and what is wrong."""
    try:
        key = check(data, armored, namespace)
    except SignatureError as exc:
        return "", str(exc)
    faults = []
    for line in lines:
        if line.may_fit(key):
            principal, fault = _ask(data, armored, line, namespace)
            if principal:
                return principal, ""
            faults += [f"{OPTION} line {line.number} does not allow {key}: {fault}"] if fault else []
    return "", "; ".join(faults) or f"{key} is not among {OPTION}"


def _ask(data: bytes, armored: bytes, line: Allowed, namespace: str) -> tuple[str, str]:
    """Return the principal by whom one line allows a signature, or an empty one and what ssh-keygen says of it."""
    with _folder(**{"signature": armored, OPTION: line.text.encode() + b"\n"}) as folder:
        options = ("-s", "signature", "-f", OPTION)
        names = _ssh_keygen("-Y", "find-principals", *options, cwd=folder)
        for name in _text(names.stdout).splitlines() if names.returncode == 0 else ():
            asked = _ssh_keygen("-Y", "verify", "-I", name, "-n", namespace, *options, data=data, cwd=folder)
            if asked.returncode == 0:
                return name, ""
            names = asked
    said = _SAID.search(_text(names.stderr))
    return "", _UNSUITABLE.get(said.group(1), said.group(1)) if said else ""


def _need_key(path: str) -> None:
    if not os.path.isfile(path):
        raise ContainerlessError(f"{KEY_OPTION} {path} is not a file on this machine; make one with ssh-keygen")


def _unusable(key: str, said: str) -> ContainerlessError:
    if "UNPROTECTED" in said:
        why = "can be read by others; chmod 600 it"
    elif "passphrase" in said or "No private key found" in said:
        why = "has a passphrase or no private half here, and no agent holds it; ssh-add it"
    else:
        why = f"can't sign: {(said.strip() or 'ssh-keygen gives no reason').splitlines()[-1]}"
    return ContainerlessError(f"{KEY_OPTION} {key} {why}")


def _ssh_keygen(*argv: str, data: bytes = b"", cwd: str | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen where it can't ask anybody: in a session without a terminal, and without an askpass program."""
    env = {key: value for key, value in os.environ.items() if key not in ("SSH_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY")}
    try:
        return subprocess.run(
            ["ssh-keygen", *argv],
            input=data,
            capture_output=True,
            cwd=cwd,
            env={**env, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError:
        raise ContainerlessError("ssh-keygen is not on this machine; install openssh-client") from None


@contextlib.contextmanager
def _folder(**files: bytes) -> t.Iterator[str]:
    """Give a folder with files of these names that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="containerless-") as folder:
        for name, data in files.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        yield folder


def _text(data: bytes) -> str:
    # ssh-keygen ends the lines of its errors as on a terminal.
    return data.decode("utf-8", "replace").replace("\r", "")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a string of RFC 4251 section 5 and where it ends. Raises ValueError when it is cut."""
    start = at + 4
    end = start + int.from_bytes(data[at:start], "big")
    if start > len(data) or end > len(data):
        raise ValueError("cut")
    return data[start:end], end
