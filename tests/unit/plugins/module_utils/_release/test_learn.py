# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import MAX_ACTIVATION, Layout
from ansible_collections.containerless.django.plugins.module_utils._release import files, health, learn
from ansible_collections.containerless.django.plugins.module_utils._release.desired import Policy
from ansible_collections.containerless.django.plugins.module_utils._release.engine import Engine
from ansible_collections.containerless.django.plugins.module_utils._release.learn import Asked, Seen
from ansible_collections.containerless.django.plugins.module_utils._release.state import State, Stored
from ansible_collections.containerless.django.plugins.module_utils._release.systemd import Systemd
from ansible_collections.containerless.django.plugins.module_utils._sandbox import remedies, table
from ansible_collections.containerless.django.plugins.module_utils._sandbox.refusals import Refusal
from ansible_collections.containerless.django.plugins.module_utils._sandbox.remedies import (
    EGRESS,
    OPT_OUT,
    Need,
    Remedy,
)

from ..documents import MANIFEST
from .host import CONFIG, Artifact, Host, desired

A, B, C = (Remedy(OPT_OUT, "SystemCallFilter", (call,)) for call in ("a", "b", "c"))


def need(remedy: Remedy) -> Need:
    return Need(Refusal("python", (remedy.allow or ("connect",))[0], "EPERM"), "SystemCallFilter", remedy)


class App:
    """Meets its walls one after the other; asks in vain for `probes`, and does without."""

    def __init__(self, walls: t.Sequence[Remedy], probes: t.Sequence[Remedy] = ()) -> None:
        self.walls, self.probes = walls, probes
        self.tried: list[list[Remedy]] = []

    def __call__(self, opened: t.Sequence[Remedy]) -> Seen:
        self.tried.append(list(opened))
        met = next((wall for wall in self.walls if wall not in opened), None)
        refused = [remedy for remedy in (*self.probes, met) if remedy and remedy not in opened]
        return Seen(
            met is None, "it ended with 1" if met else "", tuple(map(need, refused)), "Traceback" if met else ""
        )


def test_what_works_is_run_once() -> None:
    app = App([], probes=[A])
    found = learn.search(app)
    assert (found.smallest, found.runs) == ([], 1)
    assert [item.remedy for item in found.needs] == [A]


def test_walls_that_come_one_after_the_other_are_all_found_and_nothing_else_is_kept() -> None:
    app = App([B, C], probes=[A])
    found = learn.search(app)
    assert found.smallest == [B, C]
    assert app.tried[:3] == [[], [A, B], [A, B, C]]
    assert found.runs == len(app.tried) == 6
    said = learn.report(Asked(command=("x",)), "1.0-0123456789ab", found)
    assert [item["needed"] for item in said["refused"]] == [False, True, True]
    assert said["works_with"][0] == {"option": OPT_OUT, "value": {"directive": "SystemCallFilter", "allow": ["b", "c"]}}


def test_one_remedy_needs_no_third_run() -> None:
    """Without it is how it ran first."""
    assert learn.search(App([A])).runs == 2


def test_what_only_a_release_can_open_is_named_and_not_tried() -> None:
    app = App([Remedy(EGRESS)])
    found = learn.search(app)
    assert (found.last.works, found.runs) == (False, 1)
    assert learn.report(Asked(), "1.0-0123456789ab", found)["refused"][0]["option"] == EGRESS


def test_what_fails_for_another_reason_is_told_so() -> None:
    found = learn.search(lambda _opened: Seen(False, "it ended with 1", said="ImportError\nno such module"))
    said = learn.report(Asked(), "1.0-0123456789ab", found)
    assert (said["explained"], said["said"], said["works_with"]) == (False, ["ImportError", "no such module"], [])
    lines = table.learned(said)
    assert lines[1:3] == [
        "does not work: it ended with 1",
        "Nothing that could be tried makes it work (1 runs). It said at last:",
    ]


def test_it_ends_although_each_run_wants_more() -> None:
    def insatiable(opened: t.Sequence[Remedy]) -> Seen:
        return Seen(False, "no", (need(Remedy(OPT_OUT, "SystemCallFilter", (f"call{len(opened)}",))),))

    assert learn.search(insatiable).runs == 8


def test_the_table_ends_in_what_to_paste() -> None:
    said = learn.report(Asked(command=("python", "x")), "1.0-0123456789ab", learn.search(App([A, B])))
    lines = table.learned(said)
    assert lines[-6:] == [
        "python     b                             EPERM        SystemCallFilter       yes",
        "It works with this, and not with less (measured, 5 runs):",
        "app_sandbox_opt_out:",
        "  - {directive: SystemCallFilter, allow: [a, b], reason: say why}",
        "Without it, it says:",
        "  Traceback",
    ]


def test_what_a_user_may_do_is_told_of_the_host_itself(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    closed = tmp_path / "closed"
    closed.write_text("x")
    closed.chmod(0o600)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    seen = learn.places("nobody", [str(closed), f"{tmp_path}/new/x", "/dev/null", "/tmp/new-one"])
    assert not seen[str(closed)].reads
    assert seen[f"{tmp_path}/new/x"] == remedies.Place(False, str(tmp_path))
    assert seen["/dev/null"].writes
    assert seen["/tmp/new-one"].writes


ASKED: list[tuple[dict[str, t.Any], str]] = [
    ({"seconds": 0}, "seconds is 0"),
    ({"paths": ["report"]}, "the path 'report' must start with /"),
    ({"command": "a | b"}, "a shell"),
]


@pytest.mark.parametrize(("change", "sentence"), ASKED)
def test_a_question_that_makes_no_sense_is_refused(change: dict[str, t.Any], sentence: str) -> None:
    given = {"process": "web", "command": "", "paths": [], "seconds": 20, "release": "", **change}
    with pytest.raises(ContainerlessError, match=sentence):
        learn.asked(**given)


RELEASE = "1.0-0123456789ab"


@pytest.mark.parametrize("server", ["gunicorn", "granian"])
def test_web_is_asked_at_the_socket_that_it_has(
    layout: Layout, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that binds its own is given none, and what a run left of it is gone before the next."""
    own = f"{layout.run}/%i/web/own.sock"
    units = Path(layout.release(RELEASE), "units")
    text = f"[Service]\nUser=cl-shop\nEnvironment=GRANIAN_UDS={own}\n" if server == "granian" else "[Service]\nUser=x\n"
    for name in (layout.template_unit("web"), f"{layout.template_unit('web')}.d/50-sandbox.conf"):
        (units / name).parent.mkdir(parents=True, exist_ok=True)
        (units / name).write_text(text, "utf-8")
    locked = [*MANIFEST["distributions"], {"name": server, "version": "23.0.0", "file": "", "sha256": ""}]
    manifest = {**MANIFEST, "distributions": locked, "processes": {"web": [server, "shop.wsgi"]}}
    stored = Stored(RELEASE, {"config": CONFIG}, manifest, "e" * 64)
    given: list[str] = []
    asked: list[str] = []

    def run(argv: t.Sequence[str]) -> tuple[int, str, str]:
        if argv[0] == "systemd-run":
            given.append(argv[argv.index("-c") + 2])
            if server == "granian":
                assert not os.path.exists(host.own)
                files.write(host.own, b"")
        return 0, f"{os.getpid()}\n" if "MainPID" in argv else "", ""

    monkeypatch.setattr(learn, "_traced", lambda *_pid_and_trace: contextlib.nullcontext())
    monkeypatch.setattr(health, "gate", lambda path, *_check: asked.append(path))
    host = learn._Host(layout, Systemd(layout, run), Asked(seconds=0), stored, [])
    os.makedirs(f"{layout.activation_run(MAX_ACTIVATION)}/web")
    assert [host.attempt([]).works for _run in range(2)] == [True, True]
    if server == "granian":
        assert (given, asked) == (["", ""], [own.replace("%i", str(MAX_ACTIVATION))] * 2)
    else:
        assert asked == [f"/proc/{os.getpid()}/root{place}" for place in given]
        assert all(place.startswith("/tmp/") for place in given)


def test_a_process_that_does_not_run_is_told_so(host: Host, artifacts: dict[str, Artifact], group: str) -> None:
    one = Systemd(host.layout, host)
    engine = Engine(host.layout, one, run="r1", who="ops", why="", policy=Policy(drain=0))
    with engine.locked():
        engine.release(desired(artifacts["1.0"], group, scale={"worker": 0}))
    with pytest.raises(
        ContainerlessError, match="^process worker has no unit in 1.0-.* app_release_scale says worker: 0$"
    ):
        learn._stored(State.read(host.layout), Asked("worker"))
    assert learn._stored(State.read(host.layout), Asked("web")).config["scale"] == {"worker": 0}
