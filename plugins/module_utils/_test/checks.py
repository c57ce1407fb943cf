# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of level `default`. Every one of them runs, whatever became of those before it."""

from __future__ import annotations

import functools
import inspect
import json
import subprocess
import sys
import time
import typing as t
from dataclasses import asdict, dataclass, field

from .._artifact import procfile
from .._artifact.processes import command
from .._core.errors import ContainerlessError
from .._release import evidence, exposure
from .._release.activations import Activations
from .._release.systemd import UnitState
from . import site
from .commands import Done, Sandbox
from .probes import escapes, project

#: Lines of a log that a report shows.
LINES = 60
LEVELS = ("WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Finding:
    """What a check found: `detail` in a few words, the same for the same outcome; `log` for a report."""

    passed: bool
    detail: str
    log: str = ""


@dataclass(frozen=True)
class Check:
    """A check that was made."""

    name: str
    passed: bool
    seconds: float
    detail: str
    log: str = ""


Step = tuple[str, t.Callable[[], Finding]]


@dataclass(frozen=True)
class Wanted:
    """What a project asks for. `settle`: seconds that each process must stay up."""

    smoke: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    fail_level: str = "ERROR"
    settle: int = 10
    port: int = 22


def make(steps: t.Iterable[Step], secrets: t.Iterable[str] = ()) -> list[Check]:
    """Make checks one after the other; one that raises has failed, with the error as its detail."""
    known, made = list(secrets), []
    for name, step in steps:
        started = time.monotonic()
        try:
            found = step()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the checks after this one run
            found = Finding(False, f"{exc}" if isinstance(exc, ContainerlessError) else f"{type(exc).__name__}: {exc}")
        seconds = round(time.monotonic() - started, 3)
        made.append(Check(name, found.passed, seconds, found.detail, _last_lines(found.log)))
    return [Check(**evidence.mask(asdict(check), known)) for check in made]


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-LINES:])


@dataclass
class Checks:
    """The checks of one release, in its sandbox. The project is asked once for what its settings say."""

    sandbox: Sandbox
    activations: Activations
    wanted: Wanted
    _known: dict[str, t.Any] = field(default_factory=dict)

    def steps(self) -> list[Step]:
        """Return what is checked, in this order: what needs time to go wrong comes last."""
        django: list[Step] = [
            ("check --deploy", self.deploy),
            ("migrations from an empty database", self.migrations),
            ("makemigrations --check", self.models),
        ]
        return [
            *(django if self.sandbox.is_django else []),
            ("pages", self.pages),
            ("static files", self.static),
            ("sandbox probes", self.probes),
            ("exposure", self.exposed),
            *((f"smoke: {text}", functools.partial(self.smoke, text)) for text in self.wanted.smoke),
            ("processes stay up", self.running),
        ]

    def deploy(self) -> Finding:
        """What Django itself says of the settings."""
        done = self.sandbox.manage("check", "--deploy", "--fail-level", self.wanted.fail_level)
        what = f"nothing of level {self.wanted.fail_level} or above"
        return outcome(done, what, f"Django found something of level {self.wanted.fail_level} or above")

    def migrations(self) -> Finding:
        """The release migrated a database that was empty; nothing may be left to do."""
        done = self.sandbox.manage("migrate", "--check")
        known = len(self.sandbox.stored.manifest["django"]["migrations"])
        return outcome(done, f"all {known} are applied", "some are not applied")

    def models(self) -> Finding:
        """The models of the project's own apps are what its migrations make."""
        own = self._project()["own_apps"]
        if not own:
            return Finding(True, "no app of the project itself has migrations")
        done = self.sandbox.manage("makemigrations", "--check", "--dry-run", *own)
        return outcome(done, f"models and migrations agree: {', '.join(own)}", "models changed without a migration")

    def pages(self) -> Finding:
        """No page is broken: the front page may be missing, those that are named may not."""
        asked = [(path, self._ask(path)) for path in self._paths()]
        bad = [
            f"{path} {f'answered {page.status}' if page.status else 'gave no answer'} {page.reason}".strip()
            for path, page in asked
            if site.is_broken(page, wanted=path in self.wanted.paths)
        ]
        log = self._journal() if bad else ""
        return Finding(not bad, "; ".join(bad) or f"{', '.join(path for path, _page in asked)} answered", log)

    def static(self) -> Finding:
        """A file of the artifact is served, and so is all that the pages load."""
        static_url = self._static_url()
        names = {name for path in self._paths() for name in site.links(self._ask(path), static_url)}
        sample = site.sample(f"{self.sandbox.tree}/static") if self.sandbox.stored.manifest["static"] else ""
        if not names and not sample:
            return Finding(True, "the artifact has none, and no page loads one")
        layout = self.sandbox.layout
        by = {
            name: site.is_served(self._ask, name, static_url=static_url, published=layout.static)
            for name in sorted(names | ({sample} - {""}))
        }
        missing = [f"{static_url}{name}" for name, who in by.items() if not who]
        if missing:
            return Finding(False, f"nobody serves {', '.join(missing)}", self._journal())
        return Finding(True, f"{len(by)} are served by {' and '.join(sorted(set(by.values())))}")

    def probes(self) -> Finding:
        """Nothing gets out of the sandbox that does get through outside of it, as root."""
        source = inspect.getsource(escapes)
        places = {"tree": self.sandbox.tree, "state": self.sandbox.layout.data, "port": self.wanted.port}
        done = self.sandbox.python(source, json.dumps(places))
        inside = answer(done)
        outside = subprocess.run(
            [sys.executable, "-c", source, json.dumps(places)], capture_output=True, text=True, check=False
        )
        control = answer(Done(outside.returncode, outside.stdout, outside.stderr))
        # What fails outside too says nothing about the sandbox.
        void = [f"{name} ({control.get(name)})" for name in inside if control.get(name) != "allowed"]
        open_ = [name for name, what in inside.items() if what == "allowed"]
        log = json.dumps({"in the sandbox": inside, "outside": control}, indent=1)
        if open_ or void:
            said = [f"possible in the sandbox: {', '.join(open_)}"] if open_ else []
            said += [f"not possible outside either: {', '.join(void)}"] if void else []
            return Finding(False, "; ".join(said), log)
        return Finding(True, f"{len(inside)} attempts were stopped: {', '.join(inside)}", log)

    def exposed(self) -> Finding:
        """systemd itself judges the units that run."""
        measured = self.exposures()
        worst = max(measured.values(), key=lambda found: found.tenths)
        limit = self.sandbox.stored.config["max_exposure"]
        log = "\n".join(f"{name} {found}: {found.worst()}" for name, found in measured.items())
        passed = worst.tenths <= exposure.parse_limit(limit)
        return Finding(passed, f"at most {worst}, the limit is {limit}", log)

    def smoke(self, text: str) -> Finding:
        """A command of the project ends well."""
        return outcome(self.sandbox.run(words("app_test_smoke", text, self.sandbox.tree)), "exit code 0", "it failed")

    def running(self) -> Finding:
        """Each process stays up, by itself."""
        bad = {unit: why for unit, why in ((unit, _fallen(shown)) for unit, shown in self._settled().items()) if why}
        log = self._journal(*bad) if bad else ""
        said = "; ".join(f"{unit} {why}" for unit, why in bad.items())
        return Finding(not bad, said or f"each for {self.wanted.settle} s without a restart", log)

    # What the checks share.

    def exposures(self) -> dict[str, exposure.Exposure]:
        """Return the exposure of each process as systemd counts it."""
        layout, number = self.sandbox.layout, self.sandbox.active.activation
        names = sorted({name for name, _instance in self.sandbox.stored.instances})
        return {name: exposure.measure(self.activations.systemd.run, layout.unit(name, number)) for name in names}

    def _settled(self) -> dict[str, UnitState]:
        """Wait until the last process has been up for long enough; return how they are."""
        shown = self.activations.states(self.sandbox.stored, self.sandbox.active)
        young = max((state.since for state in shown.values()), default=0.0) + self.wanted.settle - time.monotonic()
        # One that starts again and again is never old enough.
        time.sleep(max(0.0, min(young, self.wanted.settle)))
        return self.activations.states(self.sandbox.stored, self.sandbox.active)

    def _project(self) -> dict[str, t.Any]:
        if not self._known:
            self._known = answer(self.sandbox.python(inspect.getsource(project), f"{self.sandbox.tree}/venv/lib"))
        return self._known

    def _static_url(self) -> str:
        found = str(self._project()["static_url"]) if self.sandbox.is_django else "/static/"
        # Django takes a relative one as below the root.
        return found if found.startswith(("/", "http")) else f"/{found}"

    def _paths(self) -> list[str]:
        health = self.sandbox.stored.config["health"]["path"]
        return list(dict.fromkeys(["/", *self.wanted.paths, health]))

    def _ask(self, path: str) -> site.Page:
        check = self.activations.check(self.sandbox.stored)
        sock = self.sandbox.layout.activation_socket(self.sandbox.active.activation)
        return site.asker(sock, check.host, check.scheme, self.sandbox.timeout)(path)

    def _journal(self, *units: str) -> str:
        named = units or [self.sandbox.layout.unit("web", self.sandbox.active.activation)]
        return "\n".join(f"--- {unit}\n{self.activations.systemd.journal(unit)}" for unit in named)


def words(option: str, text: str, tree: str) -> list[str]:
    """Return the argv of a command that stands in an option, by the rules of a process. Raises ContainerlessError."""
    try:
        return command("command", procfile.command(text, "app_release_env"), distributions={}, tree=tree).argv
    except ContainerlessError as exc:
        raise ContainerlessError(f"{option}: {exc}") from None


def outcome(done: Done, good: str, bad: str) -> Finding:
    """Return whether a command ended well, in these words."""
    if done.rc == 0:
        return Finding(True, good, done.log)
    last = done.log.splitlines()[-1].strip() if done.log else "it printed nothing"
    return Finding(False, f"{bad} (exit code {done.rc}): {last[:200]}", done.log)


def _fallen(shown: UnitState) -> str:
    """Return how a process failed to stay up; empty when it did not."""
    if shown.restarts:
        return f"was started again ({shown.restarts})"
    return "" if shown.is_up else f"is {shown.active}"


def answer(done: Done) -> dict[str, t.Any]:
    """Return the JSON that a program printed. Raises ContainerlessError for anything else."""
    try:
        return t.cast("dict[str, t.Any]", json.loads(done.out))
    except ValueError:
        raise ContainerlessError(f"it gave no answer (exit code {done.rc}): {done.log[-500:]}") from None
