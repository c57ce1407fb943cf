# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets on a disk, encrypted with the key of this host's systemd (systemd-creds(1)), where a release asks for that.

A file says itself whether it is sealed, so a change of the option needs no second name and no moment without a value.
Values go through pipes: no argv holds one.
"""

from __future__ import annotations

import shutil
import subprocess
import typing as t

from .._core.errors import ContainerlessError

_MARK = b"containerless-sealed/v1\n"
_TOOL = "systemd-creds"
KEY = "/var/lib/systemd/credential.secret"

#: (argv, standard input) -> (rc, standard output, standard error)
Call = t.Callable[[t.Sequence[str], bytes], "tuple[int, bytes, bytes]"]


class Unreadable(ContainerlessError):
    """A value that this host can't decrypt any more."""


def _call(argv: t.Sequence[str], data: bytes) -> tuple[int, bytes, bytes]:
    done = subprocess.run(list(argv), input=data, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def require() -> None:
    """Raise where this host can't seal."""
    if not shutil.which(_TOOL):
        raise ContainerlessError(f"app_release_secrets_encrypted needs {_TOOL}, which is not on this host")


def is_sealed(data: bytes) -> bool:
    return data.startswith(_MARK)


def seal(name: str, value: str, call: Call = _call) -> bytes:
    """Return what is written to a disk. The name is part of it: no file can stand in for another one."""
    rc, out, err = call([_TOOL, "encrypt", "--with-key=host", f"--name={name}", "-", "-"], value.encode())
    if rc != 0:
        raise ContainerlessError(f"{_TOOL} could not encrypt {name}: {_last(err)}")
    return _MARK + out


def opened(path: str, name: str, data: bytes, call: Call = _call) -> str:
    """Return the value of a file, sealed or not. Raises Unreadable with what to do."""
    if not is_sealed(data):
        return data.decode()
    rc, out, err = call([_TOOL, "decrypt", f"--name={name}", "-", "-"], data[len(_MARK) :])
    if rc != 0:
        raise Unreadable(
            f"{path} can't be decrypted with this host's key {KEY} ({_last(err)}); bring the key back, or release again"
            " with app_release_secrets"
        )
    return out.decode()


def _last(err: bytes) -> str:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "nothing was said"
