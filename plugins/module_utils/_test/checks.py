# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of a release that runs. Every one of them is made, whatever became of those before it."""

from __future__ import annotations

import functools
import inspect
import json
import sys
import time
import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._artifact import procfile
from .._artifact.processes import command
from .._core.errors import ContainerlessError
from .._release import evidence, exposure, processes
from .._release.activations import Activations
from .._release.systemd import UnitState
from . import escape, overlay, site
from .commands import Done, Sandbox
from .probes import escapes, neighbour, project

#: Lines of a log that a report shows.
LINES = 60
LEVELS = ("WARNING", "ERROR", "CRITICAL")
#: Default of app_test_command.
DJANGOS = "python manage.py test --noinput"


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
class Tests:
    """The project's own tests: a command, what it needs beside the artifact, and the seconds that it may take."""

    command: str
    overlay: str
    sha256: str
    timeout: int


@dataclass(frozen=True)
class Wanted:
    """What a project asks for. `settle`: seconds that each process must stay up."""

    smoke: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    fail_level: str = "ERROR"
    settle: int = 10
    port: int = 22
    level: str = "default"
    tests: Tests | None = None

    @classmethod
    def of(cls, given: dict[str, t.Any]) -> Wanted:
        """Return what the options of the module release_checks say. Raises for tests without their overlay."""
        if given["tests"] and not given["overlay"]:
            raise ContainerlessError("tests needs an overlay, as the module test_overlay writes it")
        tests = Tests(given["tests"], given["overlay"] or "", given["overlay_sha256"], given["tests_timeout"])
        return cls(
            smoke=tuple(given["smoke"]),
            paths=tuple(given["paths"]),
            fail_level=given["fail_level"],
            settle=given["settle"],
            level=given["level"],
            tests=tests if given["tests"] else None,
        )


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
            ("escape suite", self.suite) if self.wanted.level == "full" else ("sandbox probes", self.probes),
            ("exposure", self.exposed),
            *((f"smoke: {text}", functools.partial(self.smoke, text)) for text in self.wanted.smoke),
            *([("tests", self.tests)] if self._has_tests else []),
            ("processes stay up", self.running),
        ]

    def chosen(self, only: t.Sequence[str]) -> list[Step]:
        """Return the checks of these names, all of them without one. Raises for a name that none has."""
        known = self.steps()
        unknown = set(only) - {name for name, _step in known}
        if unknown:
            raise ContainerlessError(f"only names {', '.join(sorted(unknown))}, of which this release has no check")
        return [step for step in known if not only or step[0] in only]

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
        facts = escape.few(self.sandbox.tree, self.sandbox.layout.data, self.wanted.port)
        return self._judged(facts, self._outside(facts))

    def suite(self) -> Finding:
        """The same with the whole table, beside a neighbour who lets everybody in, and as the app's own user."""
        code = f"{self.sandbox.tree}/app/.open-to-all"
        source = inspect.getsource(neighbour)
        given = {"source": source, "state": self.sandbox.layout.data, "code": code, "port": escape.PORT}
        # As long as the four calls up to its removal may take.
        given["seconds"] = 4 * self.sandbox.timeout
        argv = [sys.executable, "-c", source]
        try:
            facts = answer(self.sandbox.outside([*argv, "make", json.dumps(given)]))
            user, root = (self._outside(facts, each) for each in (self.sandbox.layout.user, "root"))
            return self._judged(facts, escape.controls(user, root))
        finally:
            self.sandbox.outside([*argv, "remove", json.dumps(given)])

    def _outside(self, facts: dict[str, t.Any], user: str = "root") -> dict[str, str]:
        """Make the attempts without any sandbox; root runs nothing of the app's."""
        python = [sys.executable, "-I"] if user == "root" else [f"{self.sandbox.tree}/venv/bin/python"]
        done = self.sandbox.outside([*python, "-c", inspect.getsource(escapes), json.dumps(facts)], user)
        return t.cast("dict[str, str]", answer(done)["outcomes"])

    def _judged(self, facts: dict[str, t.Any], outside: dict[str, str]) -> Finding:
        inside = answer(self.sandbox.python(inspect.getsource(escapes), json.dumps(facts)))["outcomes"]
        verdict = escape.judge(inside, outside, escape.meant(self.sandbox.stored.config["sandbox"]))
        return Finding(verdict.passed, f"{verdict}", escape.log(inside, outside, verdict))

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

    def tests(self) -> Finding:
        """The project's own tests pass in the sandbox, with what they need laid over the release."""
        wanted, sandbox = t.cast("Tests", self.wanted.tests), self.sandbox
        with overlay.Overlay(sandbox.layout, sandbox.stored.content_id).placed(wanted.overlay, wanted.sha256) as placed:
            argv = overlay.argv(self._tests_argv(wanted.command), placed)
            patient = replace(sandbox, timeout=wanted.timeout, option="app_test_command_timeout")
            done = patient.run(argv, placed.texts)
        said = f"with {placed.summary} beside the artifact"
        if done.rc == 0:
            return Finding(True, f"{overlay.count(done.log)}, {said}", done.log)
        return Finding(False, f"{overlay.failure(done.log, done.rc)}, {said}", done.log)

    def running(self) -> Finding:
        """Each process stays up, by itself."""
        bad = {unit: why for unit, why in ((unit, _fallen(shown)) for unit, shown in self._settled().items()) if why}
        log = self._journal(*bad) if bad else ""
        said = "; ".join(f"{unit} {why}" for unit, why in bad.items())
        return Finding(not bad, said or f"each for {self.wanted.settle} s without a restart", log)

    @property
    def _has_tests(self) -> bool:
        """Django's own command says nothing of a project that is none of Django's."""
        wanted = self.wanted.tests
        return wanted is not None and (self.sandbox.is_django or wanted.command != DJANGOS)

    def _tests_argv(self, command: str) -> list[str]:
        if command == DJANGOS:
            # Wherever manage.py stands, and without one too.
            return [*processes.manage(self.sandbox.stored.manifest, self.sandbox.tree), *command.split()[2:]]
        return words("app_test_command", command, self.sandbox.tree)

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
