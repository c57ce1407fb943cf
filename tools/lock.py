# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins requirements/*.in again: versions with hashes, and no word about where they were fetched from."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
PYTHONS = {"tools": "3.12", "py39": "3.9", "bench": "3.11", "bench-peers": "3.12", "bench-project": "3.11"}
HEADER = """\
# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Made by `make lock` from {name}.in; do not edit.
"""
WITH_HASHES = ["--universal", "--upgrade", "--generate-hashes"]
WITHOUT_ORIGIN = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, python in PYTHONS.items():
        source, target = REQUIREMENTS / f"{name}.in", REQUIREMENTS / f"{name}.txt"
        argv = ["uv", "pip", "compile", *WITH_HASHES, *WITHOUT_ORIGIN, "--python-version", python, str(source)]
        pins = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
        target.write_text(HEADER.format(name=name) + pins, encoding="utf-8")


if __name__ == "__main__":
    main()
