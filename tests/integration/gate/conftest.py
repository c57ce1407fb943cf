# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine for all that needs a host, an artifact in a file, and the variables of a test of it there.

Each test leaves the host as it was, but those of test_record.py, which come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.containerless.django.tests.rig import APP, Host, Played, Rig, core

#: Whatever an app leaves on a host, and who waits to remove it.
TRACES = f"""
ls -d /srv/containerless/{APP} /etc/containerless/{APP} /var/lib/containerless/{APP} /run/containerless/{APP} || :
systemctl list-units --all --plain --no-legend 'containerless-{APP}*'
getent passwd cl-{APP} || :
"""


def traces(host: Host) -> str:
    return host.sh(TRACES).stdout.strip()


def said(played: Played) -> str:
    """Return what a playbook that was refused said."""
    assert played.rc, "it passed"
    return " ".join(played.output.split())


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    core.publish("debian12", ("v1",))
    with Rig("gate") as made:
        yield made


@pytest.fixture(scope="session")
def host(rig: Rig) -> Host:
    return rig.hosts[0]


@pytest.fixture(scope="session")
def file(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifact that was uploaded to a file."""
    path = tmp_path_factory.mktemp("drop") / "rig-1-debian12.tar.gz"
    told = {"app_upload_from": core.store("debian12").as_uri(), "app_upload_channel_from": "v1"}
    rig.play("upload", app_store=str(path), **told).check()
    return path


@pytest.fixture(scope="session")
def told(rig: Rig, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Return the variables of a test, in an environment with another name: what was tested once is not tested again."""
    reports = str(tmp_path_factory.mktemp("reports"))

    def made(name: str, value: str = "1", **extra: Any) -> dict[str, Any]:
        env = {**rig.settings["app_release_env"], name: value}
        given = {"app_test_store": str(file), "app_test_hosts": ["rig1"], "app_test_reports": reports}
        return {**given, "app_test_settle": 1, "app_release_env": env, **extra}

    return made
