# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish tags of the rig (NAME:TAG for another name) and write down the settings: publish_rig.py FOLDER TAG..."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ansible_collections.containerless.django.tests.rig import Rig, core

IMAGE = "debian12"


def main(folder: str, *words: str) -> None:
    Rig("publisher", image=IMAGE).publish(*words)
    Path(folder, "rig.json").write_text(json.dumps(core.defaults(IMAGE)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
