# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real keys and the real ssh-keygen; nothing is mocked."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import signature
from ansible_collections.containerless.django.plugins.module_utils._artifact.signature import NAMESPACES, SignatureError
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from ..ssh_keys import Keys, call

DATA = b'{"schema":"containerless.manifest/v1"}\n'
SPACE = NAMESPACES["manifest"]


def sign(keys: Keys, *names: str, data: bytes = DATA, namespace: str = SPACE) -> list[bytes]:
    return [signature.sign(data, keys.path(name), namespace) for name in names]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ann", "bob", "eve", "authority"):
        made.make(name)
    made.make("curve", "-t", "ecdsa")
    made.make("locked", passphrase="correct-horse")
    for name, valid in (("carl", "-1d:+1d"), ("past", "-3d:-2d")):
        made.make(name)
        certify = ("-q", "-s", made.path("authority"), "-I", name, "-n", f"{name}@x", "-V", valid)
        call(*certify, made.path(f"{name}.pub"))
    return made


# what -> allowed signers, who signed, principal
GOOD: dict[str, tuple[str, tuple[str, ...], str]] = {
    "one key": ("ann@x <ann>", ("ann",), "ann@x"),
    "comments, blank lines and words after the key": ("# team\n\n  ann@x <ann> her laptop\n", ("ann",), "ann@x"),
    "several keys": ("ann@x <ann>\nbob@x <bob>", ("bob",), "bob@x"),
    "several signatures": ("bob@x <bob>", ("eve", "bob"), "bob@x"),
    "several names": ("ann@x,bob@x <ann>", ("ann",), "ann@x"),
    "a curve of another kind": ("ann@x <curve>", ("curve",), "ann@x"),
    "valid for now": ('ann@x valid-after="20200101",valid-before="29991231" <ann>', ("ann",), "ann@x"),
    "for this namespace": (f'ann@x namespaces="git,{SPACE}" <ann>', ("ann",), "ann@x"),
    "rotation: the old key has expired and both signed": (
        'old@x valid-before="20200101" <ann>\nnew@x <bob>',
        ("ann", "bob"),
        "new@x",
    ),
    "one key on two lines, the first of them for something else": (
        'git@x namespaces="git" <ann>\nann@x <ann>',
        ("ann",),
        "ann@x",
    ),
    "an authority": ("*@x cert-authority <authority>", ("carl-cert.pub",), "carl@x"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_signature_names_its_signer(keys: Keys, case: str) -> None:
    allowed, who, principal = GOOD[case]
    assert signature.verify(DATA, sign(keys, *who), keys.fill(allowed), SPACE) == principal


# what -> allowed signers, who signed, what is said
BAD: dict[str, tuple[str, tuple[str, ...], str]] = {
    "missing": ("ann@x <ann>", (), r"^there is no signature$"),
    "foreign": ("ann@x <ann>\nbob@x <bob>", ("eve",), r"^SHA256:\S{43} is not among app_signers$"),
    "expired": (
        'ann@x valid-before="20200101" <ann>',
        ("ann",),
        r"^app_signers line 1 does not allow SHA256:\S{43}: key has expired: .*2020-01-01",
    ),
    "not yet valid": (
        '# soon\nann@x valid-after="29990101" <ann>',
        ("ann",),
        r"^app_signers line 2 does not allow SHA256:\S{43}: key is not yet valid: .*2999-01-01",
    ),
    "for another namespace only": (
        'ann@x namespaces="git" <ann>',
        ("ann",),
        r"^app_signers line 1 does not allow SHA256:\S{43}: key is not permitted for use in signature namespace",
    ),
    "expired and foreign": (
        'ann@x valid-before="20200101" <ann>',
        ("ann", "eve"),
        r"^app_signers line 1 .*: key has expired: .*; SHA256:\S{43} is not among app_signers$",
    ),
    "a date that is none": ('ann@x valid-before="20209999" <ann>', ("ann",), r"^app_signers line 1 .*: bad options"),
    "expired certificate": (
        "*@x cert-authority <authority>",
        ("past-cert.pub",),
        r"^app_signers line 1 does not allow SHA256:\S{43}: its certificate has expired or names nobody",
    ),
    "certificate of somebody else": ("ann@x cert-authority <authority>", ("carl-cert.pub",), r"names nobody whom"),
    "certificate of a foreign authority": ("*@x cert-authority <eve>", ("carl-cert.pub",), r"not among app_signers$"),
    "a key that is allowed as an authority only": ("ann@x cert-authority <ann>", ("ann",), r"not among app_signers$"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_signature_is_refused_with_its_reason(keys: Keys, case: str) -> None:
    allowed, who, message = BAD[case]
    with pytest.raises(SignatureError, match=message):
        signature.verify(DATA, sign(keys, *who), keys.fill(allowed), SPACE)


def test_a_foreign_key_is_named_as_ssh_keygen_shows_it(keys: Keys) -> None:
    with pytest.raises(SignatureError, match=re.escape(keys.fingerprint("eve"))):
        signature.verify(DATA, sign(keys, "eve"), keys.fill("ann@x <ann>"), SPACE)


def test_a_changed_document_is_refused(keys: Keys) -> None:
    with pytest.raises(SignatureError, match=r"^the document is not the one that SHA256:\S+ signed: it was changed"):
        signature.verify(DATA.replace(b"v1", b"v2"), sign(keys, "ann"), keys.fill("ann@x <ann>"), SPACE)


def test_a_signature_of_another_kind_of_document_is_refused(keys: Keys) -> None:
    of_provenance = sign(keys, "ann", namespace=NAMESPACES["provenance"])
    with pytest.raises(SignatureError, match=r"is for namespace 'provenance@containerless.django', not 'manifest@"):
        signature.verify(DATA, of_provenance, keys.fill("ann@x <ann>"), SPACE)


HEAD, TAIL = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize(
    "armored",
    [
        b"",
        b"garbage",
        HEAD + TAIL,
        HEAD + b"AAAA\n" + TAIL,
        HEAD + b"AAA\n" + TAIL,
        HEAD + b"U1NIU0lHAAAAAQAAADMA\n" + TAIL,
        HEAD + b"U1NIU0lHAAAAAQAAAAAA\n" + TAIL,
    ],
)
def test_what_is_no_signature_is_refused(keys: Keys, armored: bytes) -> None:
    with pytest.raises(SignatureError, match="should be a signature"):
        signature.verify(DATA, [armored], keys.fill("ann@x <ann>"), SPACE)


def test_a_flipped_bit_is_no_good_signature(keys: Keys) -> None:
    armored = sign(keys, "ann")[0]
    for at in range(len(HEAD), len(armored) - len(TAIL), 7):
        flipped = armored[:at] + bytes([armored[at] ^ 1]) + armored[at + 1 :]
        with pytest.raises(SignatureError):
            signature.verify(DATA, [flipped], keys.fill("ann@x <ann>"), SPACE)


# the second line is spoiled
MALFORMED = [
    "ann@x",
    "<eve>",
    "ann@x ssh-ed25519 AAAAC3Nz",
    "ann@x ssh-ed25519 not-base64",
    "ann@x ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOssdUhfVmnIwh7Hmwj57cqxQBqbea3+C0//pwQCOi7F",
    'ann@x valid-before="soon" <ann>',
    "ann@x valid-before=20301231 <ann>",
    'ann@x verify-required="1" <ann>',
    'ann@x namespaces="git <ann>',
]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_line_that_is_none_is_named_by_its_number(keys: Keys, line: str) -> None:
    with pytest.raises(ContainerlessError, match=r"^app_signers line 2 is none of ALLOWED SIGNERS"):
        signature.verify(DATA, sign(keys, "ann"), keys.fill(f"ann@x <ann>\n{line}\n"), SPACE)


@pytest.mark.parametrize("text", ["", "\n", "# nobody yet\n"])
def test_no_key_at_all_is_an_error_of_the_option(text: str) -> None:
    with pytest.raises(ContainerlessError, match="app_signers names no key"):
        signature.verify(DATA, [], text, SPACE)


@pytest.mark.parametrize("name", ["ann", "ann.pub", "locked", "locked.pub", "curve", "carl-cert.pub"])
def test_the_fingerprint_of_a_key_is_that_of_its_signatures(keys: Keys, name: str) -> None:
    found = signature.public_key(keys.path(name))
    if not name.startswith("locked"):
        assert signature.read(sign(keys, name)[0]) == (signature.check(DATA, sign(keys, name)[0], SPACE), SPACE)
        assert found == signature.read(sign(keys, name)[0])[0].fingerprint
    assert re.fullmatch("[0-9a-f]{64}", found)


def test_signing_again_makes_the_same_bytes(keys: Keys) -> None:
    assert sign(keys, "ann") == sign(keys, "ann.pub")


def spoiled(folder: Path, keys: Keys, what: str) -> str:
    """Return the path of a key that can't be used."""
    path = folder / "key"
    if what == "a text":
        path.write_text("no key\n", "utf-8")
    elif what == "open to others":
        shutil.copy(keys.path("ann"), path)
        path.chmod(0o644)
    elif what == "public without an agent":
        shutil.copy(keys.path("ann.pub"), folder / "alone.pub")
        return str(folder / "alone.pub")
    elif what == "encrypted":
        return keys.path("locked")
    return str(path)


UNUSABLE = {
    "missing": r"^app_build_signing_key \S+/key is not a file",
    "a text": r"^app_build_signing_key \S+/key can't sign: ",
    "open to others": r"^app_build_signing_key \S+/key can be read by others; chmod 600 it$",
    "public without an agent": r"^app_build_signing_key \S+/alone.pub has .* no agent holds it; ssh-add it$",
    "encrypted": r"^app_build_signing_key \S+/locked has a passphrase .* no agent holds it; ssh-add it$",
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_key_that_can_not_sign_is_refused(keys: Keys, tmp_path: Path, case: str) -> None:
    with pytest.raises(ContainerlessError, match=UNUSABLE[case]):
        signature.sign(DATA, spoiled(tmp_path, keys, case), SPACE)


def test_nobody_is_asked_for_a_passphrase(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a terminal and an askpass program at hand, which would be used if anything asked."""
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\necho correct-horse\n", "utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setenv("DISPLAY", ":0")
    child, terminal = pty.fork()
    if child == 0:
        try:
            signature.sign(DATA, keys.path("locked"), SPACE)
        except ContainerlessError:
            os._exit(0)
        os._exit(1)
    shown = b""
    try:
        while piece := os.read(terminal, 1024):
            shown += piece
            os.write(terminal, b"\n")  # a prompt would wait for ever
    except OSError:
        pass  # the way in which Linux says that the child has closed its terminal
    assert (os.waitpid(child, 0)[1], shown) == (0, b"")
    assert not (tmp_path / "asked").exists()


@pytest.fixture
def agent(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """Run an agent that holds the encrypted key."""
    # A socket's path is bounded, and that of pytest's folder is long.
    with tempfile.TemporaryDirectory(prefix="cl-") as folder:
        socket, program = f"{folder}/agent", Path(folder, "askpass")
        program.write_text("#!/bin/sh\necho correct-horse\n", "utf-8")
        program.chmod(0o700)
        with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as running:
            while not os.path.exists(socket):
                assert running.poll() is None
            env = {**os.environ, "SSH_AUTH_SOCK": socket, "SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
            subprocess.run(["ssh-add", "-q", keys.path("locked")], env=env, check=True, stdin=subprocess.DEVNULL)
            monkeypatch.setenv("SSH_AUTH_SOCK", socket)
            yield
            running.terminate()


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("name", ["locked", "locked.pub"])
def test_an_agent_signs_with_an_encrypted_key(keys: Keys, name: str) -> None:
    assert signature.verify(DATA, sign(keys, name), keys.fill("ann@x <locked>"), SPACE) == "ann@x"


def test_a_machine_without_ssh_keygen_is_told(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = sign(keys, "ann")
    monkeypatch.setenv("PATH", str(tmp_path))
    for use in (
        lambda: sign(keys, "ann"),
        lambda: signature.verify(DATA, signed, keys.fill("ann@x <ann>"), SPACE),
        lambda: signature.public_key(keys.path("ann")),
    ):
        with pytest.raises(ContainerlessError, match="ssh-keygen is not on this machine; install openssh-client"):
            use()
