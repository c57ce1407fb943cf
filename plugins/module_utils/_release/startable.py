# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a tree could be started again: an upgrade of the host may take away the Python that it was built for.

What runs goes on with the files that it holds open, so nothing shows until the next restart or reboot.
"""

from __future__ import annotations

import os
import typing as t

from .systemd import Run, run as _run

_ASK = "import sysconfig; print(sysconfig.get_config_var('SOABI'))"


def problems(tree: str, manifest: dict[str, t.Any], run: Run = _run) -> list[str]:
    """Return a sentence for each reason why the release would not start; empty when its Python is there."""
    link, soabi = f"{tree}/venv/bin/python", manifest["python"]["soabi"]
    if not os.path.lexists(link):
        return [f"{link} is missing: the tree is not whole; release it again"]
    python = os.path.realpath(link)
    advice = "release an artifact that is built for a Python of this host before anything is restarted"
    if not os.path.exists(python):
        return [f"{python}, the Python of this release ({soabi}), is no longer on this host; {advice}"]
    if not os.path.isfile(python) or not os.access(python, os.X_OK):
        return [f"{python}, the Python of this release ({soabi}), can't be executed"]
    found, failed = _ask(python, run)
    if failed:
        return [f"{python}, the Python of this release ({soabi}), does not start: {failed}"]
    return [] if found == soabi else [f"{python} is {found} now, and this release was built for {soabi}; {advice}"]


def _ask(python: str, run: Run) -> tuple[str, str]:
    """Return (SOABI, why there is none). Without site-packages: nothing of the app runs here, as root."""
    try:
        rc, out, err = run([python, "-IS", "-c", _ASK])
    except OSError as exc:
        return "", str(exc.strerror)
    said = (err or out).strip().splitlines() or [f"rc {rc}"]
    return (out.strip(), "") if rc == 0 else ("", said[-1])
