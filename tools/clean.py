# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the machines of this checkout, through the collection itself, and then .cache: `make clean`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.containerless.django.plugins.module_utils._machine.names import project_of
from ansible_collections.containerless.django.plugins.module_utils._machine.paths import Cache, default_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent


def owners() -> Iterator[Path]:
    """Yield each folder of this checkout that owns machines: by default the folder of the play that made them."""
    cache = Cache(default_cache(os.environ))
    yield from (
        Path(folder) for folder, _folders, _files in os.walk(ROOT) if cache.project(project_of(folder)).is_dir()
    )


def remove_machines(owner: Path) -> bool:
    print(f"removing the machines of {owner.relative_to(ROOT) if owner != ROOT else 'this checkout'}", flush=True)
    options = json.dumps({"name": "*", "owner": str(owner), "state": "absent"})
    argv = ["ansible", "localhost", "-c", "local", "-m", "containerless.django.machine", "-a", options]
    become = [] if os.geteuid() == 0 else ["--become"]
    done = subprocess.run([*argv, *become], env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"}, check=False)
    return done.returncode == 0


def main() -> None:
    # It takes no arguments; a stray --help must not clean.
    argparse.ArgumentParser(description=__doc__).parse_args()
    removed = [remove_machines(owner) for owner in owners()]
    if not all(removed):
        sys.exit("make clean: not every machine could be removed, so .cache stays; the reason stands above.")
    print("removing .cache (the images of machines stay for other checkouts)", flush=True)
    shutil.rmtree(ROOT / ".cache")


if __name__ == "__main__":
    main()
