# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real keys of OpenSSH in a folder, for the tests of every room."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Keys:
    """Keys in a folder, made once for all tests."""

    folder: Path

    def make(self, name: str, *options: str, passphrase: str = "") -> None:
        call("-q", "-t", "ed25519", *options, "-N", passphrase, "-C", name, "-f", str(self.folder / name))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def public(self, name: str) -> str:
        return " ".join((self.folder / f"{name}.pub").read_text("utf-8").split()[:2])

    def fingerprint(self, name: str) -> str:
        return call("-l", "-f", self.path(f"{name}.pub")).split()[1]

    def fill(self, text: str) -> str:
        """Return a text with the public key for each <name>."""
        return re.sub(r"<(\w+)>", lambda found: self.public(found.group(1)), text)


def call(*argv: str) -> str:
    return subprocess.run(["ssh-keygen", *argv], check=True, stdout=subprocess.PIPE, text=True).stdout
