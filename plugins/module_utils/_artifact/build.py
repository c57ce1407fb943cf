# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds one artifact on a machine of the target's suite, from a bundle that holds everything, without network.

The steps stand in `STEPS`, in order; each is a method that reads what the steps before it left on the disk.
"""

from __future__ import annotations

import datetime
import functools
import gzip
import json
import os
import pkgutil
import shutil
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from .._core import canonical
from .._core.errors import ContainerlessError
from . import django_probe, elf, identity, installed, migrations, pack, provenance, runner, tree

PREFIX = "containerless-build-"
#: Memory first: a build makes ten thousand files and removes them again.
FOLDERS = ("/dev/shm", "/var/tmp")  # noqa: S108
#: What a build takes at its peak, in sizes of its bundle.
ROOM = 8
_FACTS = """
import importlib.util, json, os, platform, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "full": platform.python_version(),
    "soabi": sysconfig.get_config_var("SOABI"),
    "magic": importlib.util.MAGIC_NUMBER.hex(),
    "machine": platform.machine(),
    "libc": os.confstr("CS_GNU_LIBC_VERSION"),
}))
"""


@dataclass(frozen=True)
class Built:
    """What a build leaves: documents for the store, the blob's file stays where it was asked for."""

    manifest: dict[str, t.Any]
    provenance: dict[str, t.Any]
    seconds: dict[str, float]
    warnings: list[str]


def throwaway(name: str) -> str:
    """Return the value that a secret has during a build: fixed, so that it can't make two builds differ."""
    return canonical.sha256(f"containerless build {name}".encode())


def now() -> str:
    """Return the time of day as the provenance writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def available(folder: str) -> int:
    """Return the bytes that a folder can take: none where programs can't start, in memory half of what is free."""
    facts = os.statvfs(folder)
    if facts.f_flag & os.ST_NOEXEC:
        return 0
    free = facts.f_bavail * facts.f_frsize
    if folder != FOLDERS[0]:
        return free
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return min(free, int(fields["MemAvailable"].split()[0]) * 1024 // 2)


def choose_folder(wanted: str, bundle: str) -> str:
    """Return the folder to build in: the wanted one, else the first with room. Raises when there is none."""
    need = Path(bundle).stat().st_size * ROOM
    folders = [wanted] if wanted else [folder for folder in FOLDERS if Path(folder).is_dir()]
    for folder in folders:
        if available(folder) >= need:
            return folder
    raise ContainerlessError(
        f"the build host has not enough room in {' or '.join(folders)}:"
        f" a build needs {need // 1000000} MB (app_build_folder)"
    )


@dataclass
class Build:
    """One build in its own folder `work`; `tree` below it becomes the artifact."""

    work: str
    bundle: str
    blob: str
    python: str
    commands: runner.Runner
    inputs: dict[str, t.Any] = field(default_factory=dict)
    facts: dict[str, t.Any] = field(default_factory=dict)
    django: dict[str, t.Any] | None = None
    static: dict[str, t.Any] | None = None
    warnings: list[str] = field(default_factory=list)
    manifest: dict[str, t.Any] = field(default_factory=dict)
    blobs: list[dict[str, t.Any]] = field(default_factory=list)

    def at(self, *parts: str) -> str:
        """Return a path below the work folder."""
        return os.path.join(self.work, *parts)

    @property
    def tree(self) -> str:
        """The folder that becomes the artifact."""
        return self.at("tree")

    @property
    def venv(self) -> str:
        """The environment inside of it."""
        return self.at("tree", "venv")

    @property
    def epoch(self) -> int:
        """Time of the commit, the only time that an artifact knows."""
        return int(self.inputs["source_date_epoch"])

    def unpack(self) -> None:
        """Lay out the inputs and the committed code."""
        for folder in ("in", "home", "tree", "tree/app", "tree/static", "credentials"):
            self.commands.own(self.at(folder))
        with open(self.bundle, "rb") as stream:
            self.commands.run(["tar", "-x", "-C", self.at("in")], "unpacking the inputs", stdin=stream)
        self.inputs = json.loads(Path(self.at("in/inputs.json")).read_text(encoding="utf-8"))
        self.commands.env.update(runner.environment(self.at("home"), self.epoch))
        extract = ["tar", "-x", "--no-same-owner", "-f", self.at("in/app.tar"), "-C", self.at("tree/app")]
        self.commands.run(extract, "unpacking the code")
        self.facts = json.loads(self.commands.run([self.python, "-I", "-c", _FACTS], f"asking {self.python}"))
        self._check_machine()

    def _check_machine(self) -> None:
        wanted, has = self.inputs, self.facts
        found = (has["implementation"], has["version"], has["machine"], (has["libc"] or "no").split(" ")[0])
        if found != ("cpython", wanted["python"], wanted["machine"], "glibc"):
            raise ContainerlessError(
                f"{self.python} of the build host is {' '.join(found)}, but {wanted['platform']} needs cpython"
                f" {wanted['python']} {wanted['machine']} glibc (app_build_host, app_build_platforms)"
            )

    def _uv(self, *argv: str) -> list[str]:
        return [self.at("in/uv"), "--no-progress", "--color", "never", *argv]

    def install(self) -> None:
        """Install exactly the locked wheels. Links will do: uv's cache is this build's own."""
        self.commands.run(
            self._uv("venv", "--quiet", "--relocatable", "--no-project", "--python", self.python, self.venv),
            "making the environment",
        )
        sync = ["pip", "sync", "--quiet", "--require-hashes", "--no-build", "--link-mode", "hardlink", "--no-index"]
        where = ["--find-links", self.at("in/wheels"), "--python", f"{self.venv}/bin/python"]
        self.commands.run(
            self._uv(*sync, *where, "--allow-empty-requirements", self.at("in/requirements.txt")),
            "installing the locked distributions",
        )

    def verify(self) -> None:
        """Compare what was installed with the wheels' own lists and with the lock."""
        installed.verify(self.venv)
        locked = {item["name"] for item in self.inputs["distributions"]}
        found = set(installed.names(self.venv))
        if found != locked:
            raise ContainerlessError(f"installed and locked distributions differ: {', '.join(sorted(found ^ locked))}")
        status, output = self.commands.call(self._uv("pip", "check", "--python", f"{self.venv}/bin/python"))
        faults = [line for line in output.splitlines() if line.startswith("The package ")] if status else []
        missing = [line for line in faults if "not installed" in line]
        if missing:
            raise ContainerlessError(f"{self.inputs['lock_name']} is not complete: {' '.join(missing)}")
        self.warnings += faults

    def compile(self) -> None:
        """Write bytecode that no host has to check, with paths that no machine is in: one process a tree, in order."""
        for name in ("venv", "app"):
            argv = [self.python, "-I", "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
            status, output = self.commands.call([*argv, "-s", self.tree, f"{self.tree}/{name}"], cwd=self.work)
            # Packages carry templates and tests for other Pythons; a fault in the app's own code is worth a word.
            if status and name == "app":
                self.warnings.append(
                    f"not all of the code compiles on Python {self.facts['full']}: {runner.tail(output)}"
                )

    def ask_django(self) -> None:
        """Collect static files and read all migrations, in the app's own environment, with throw-away secrets."""
        manage = self.inputs["manage"]
        if manage is None:
            return
        package = Path(self.commands.own(self.at("probe/containerless_probe")))
        for name in (django_probe.__name__, migrations.__name__):
            file = name.rpartition(".")[2] + ".py"
            package.joinpath(file).write_bytes(pkgutil.get_data(__package__ or "", file) or b"")
        package.joinpath("__init__.py").touch()
        static = self.at("tree/static")
        Path(self.at("probe/request.json")).write_text(json.dumps({"static_root": static}), encoding="utf-8")
        self.commands.own(self.at("answer"))
        before = self._listing()
        self.commands.run(
            [
                f"{self.venv}/bin/python",
                "-m",
                "containerless_probe.django_probe",
                self.at("probe/request.json"),
                self.at("answer/json"),
            ],
            f"collecting static files and reading migrations with {self.inputs['settings_module']}",
            cwd=str(Path(self.at("tree/app", manage)).parent),
            env=self._django_env(static),
        )
        changed = sorted(before ^ self._listing())
        if changed:
            raise ContainerlessError(
                f"{self.inputs['settings_module']} wrote {changed[0][0]} while it was loaded;"
                " the tree is read-only on a host"
            )
        answer = json.loads(Path(self.at("answer/json")).read_text(encoding="utf-8"))
        self._keep_answer(answer)

    def _django_env(self, static: str) -> dict[str, str]:
        secrets = {name: throwaway(name) for name in ("SECRET_KEY", *self.inputs["secret_names"])}
        for name, value in secrets.items():
            Path(self.at("credentials", name)).write_text(value, encoding="utf-8")
        return {
            **secrets,
            "CREDENTIALS_DIRECTORY": self.at("credentials"),
            # Empty and thrown away: settings that read the variable are imported as on a host.
            "STATE_DIRECTORY": self.commands.own(self.at("state")),
            "CONTAINERLESS_BUILD": "1",
            "STATIC_ROOT": static,
            "DJANGO_SETTINGS_MODULE": self.inputs["settings_module"],
            "PYTHONPATH": self.at("probe"),
            **self.inputs["env"],
        }

    def _listing(self) -> set[tuple[str, int, int]]:
        found: set[tuple[str, int, int]] = set()
        for name in ("app", "venv"):
            for path in Path(self.tree, name).rglob("*"):
                facts = path.lstat()
                if not path.is_dir():
                    found.add((str(path.relative_to(self.tree)), facts.st_size, facts.st_mtime_ns))
        return found

    def _keep_answer(self, answer: dict[str, t.Any]) -> None:
        static = Path(self.at("tree/static"))
        if answer["static"]["collected"]:
            self._sort_json(static, answer["static"]["manifest"])
            self.static = {"root": "static", "files": sum(path.is_file() for path in static.rglob("*"))}
        self.django = {
            "version": answer["version"],
            "settings_module": self.inputs["settings_module"],
            "manage": f"app/{self.inputs['manage']}",
            "migrations": answer["migrations"],
        }

    @staticmethod
    def _sort_json(static: Path, name: str | None) -> None:
        # Django writes it in the order in which the disk names the files.
        path = static / (name or "")
        if name and path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            path.write_bytes(text)
            packed = static / f"{name}.gz"
            if packed.is_file():
                packed.write_bytes(gzip.compress(text, mtime=0))

    def scan(self) -> None:
        """Take out what belongs to this machine, and refuse what still names its folders."""
        installed.prune(self.venv)
        if self.static is None:
            shutil.rmtree(self.at("tree/static"))
        found = installed.leak(self.tree, [self.work])
        if found:
            raise ContainerlessError(f"{found} holds the path of the build folder, so it would differ with each build")

    def seal(self) -> None:
        """Write META and the list of all files."""
        meta = Path(self.at("tree/META"))
        meta.mkdir()
        shutil.copyfile(self.at("in/lock"), meta / "lock")
        about = {key: self.inputs[key] for key in ("project", "version", "commit", "python", "lock")}
        meta.joinpath("about.json").write_bytes(canonical.dumps(about))
        summary = tree.seal(self.tree)
        self.manifest = {"tree": {"sha256": summary.sha256, "files": summary.files, "bytes": summary.bytes}}

    def write(self) -> None:
        """Write tar and blob in one pass, then the manifest."""
        plain, blob = pack.pack(self.tree, self.blob, self.epoch)
        self.blobs = [{"encoding": "gzip", "sha256": blob.sha256, "size": blob.size}]
        inputs = self.inputs
        self.manifest.update(
            schema="containerless.manifest/v1",
            project=inputs["project"],
            version=inputs["version"],
            source={"commit": inputs["commit"], "tree": inputs["tree"], "dirty": inputs["dirty"]},
            source_date_epoch=self.epoch,
            tar={"sha256": plain.sha256, "size": plain.size},
            python={key: self.facts[key] for key in ("implementation", "version", "soabi", "magic")},
            platform={"machine": self.facts["machine"], "libc": "glibc", "libc_min": elf.tree_glibc_min(self.venv)},
            distributions=inputs["distributions"],
            processes=inputs["processes"],
            timers=inputs["timers"],
            static=self.static,
            django=self.django,
            lock=inputs["lock"],
        )

    def builder(self) -> dict[str, t.Any]:
        """Return what this machine says of itself, for the provenance."""
        return {
            "uv": self.commands.run(self._uv("--version"), "asking uv").strip(),
            "python": self.facts["full"],
            "libc": self.facts["libc"],
            "kernel": os.uname().release,
            "network": "none" if self.commands.isolated else "of the machine",
        }


STEPS: dict[str, t.Callable[[Build], None]] = {
    "unpack": Build.unpack,
    "install": Build.install,
    "verify": Build.verify,
    "compile": Build.compile,
    "django": Build.ask_django,
    "scan": Build.scan,
    "seal": Build.seal,
    "write": Build.write,
}


def build(bundle: str, blob: str, folder: str, python: str) -> Built:
    """Build the artifact whose inputs are `bundle`, write it to `blob`; nothing else stays behind, in any case."""
    os.umask(0o022)
    started, seconds = now(), {}

    def timed(name: str, step: t.Callable[[], None]) -> None:
        begin = time.monotonic()
        step()
        seconds[name] = round(time.monotonic() - begin, 2)

    work = tempfile.mkdtemp(prefix=PREFIX, dir=choose_folder(folder, bundle))
    try:
        commands = runner.make_runner(runner.environment(work, 0))
        commands.own(work)
        job = Build(work, bundle, blob, python, commands)
        for name, step in STEPS.items():
            timed(name, functools.partial(step, job))
        document = provenance.statement(
            content_id=identity.content_id(job.manifest),
            manifest=job.manifest,
            inputs=job.inputs,
            builder=job.builder(),
            blobs=job.blobs,
            times=(started, now()),
        )
        return Built(job.manifest, document, seconds, job.warnings)
    finally:
        timed("clean", lambda: shutil.rmtree(work, ignore_errors=True))
