# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds one artifact on a machine of the target's suite, from a bundle that holds everything, without network.

`Build.steps` is the table of contents. Bytecode of the dependencies is written while the project's own steps run: it is
one process, in order, so that its bytes are the same everywhere, and builders have more than one core.
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .._core import canonical
from .._core.errors import ContainerlessError
from . import app_code, dependencies, django_steps, elf, identity, installed, pack, provenance, runner, sbom, tree
from .job import PROGRESS, Job

PREFIX = "containerless-build-"
#: Memory first: a build makes ten thousand files and removes them again.
FOLDERS = ("/dev/shm", "/var/tmp")  # noqa: S108
#: What a build takes at its peak, in sizes of its bundle.
ROOM = 8
Step = tuple[str, t.Callable[[], None]]


@dataclass(frozen=True)
class Built:
    """What a build leaves: documents for the store, its blobs stay in the folder where they were asked for."""

    manifest: dict[str, t.Any]
    provenance: dict[str, t.Any]
    sbom: dict[str, t.Any]
    seconds: dict[str, float]
    warnings: list[str]


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


def remove(folder: str) -> None:
    """Remove a folder with all below it, also what even its owner may not change: Go keeps its modules like that."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        for place, folders, _files in os.walk(folder):
            for name in folders:
                path = os.path.join(place, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def hand_over(folder: str, dest: str, name: str) -> None:
    """Copy a file out of a folder that is another user's, who may have put a link there."""
    made = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(made, "rb") as source, open(os.path.join(dest, name), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


@dataclass
class Build:
    """The steps of one build, and the documents that they fill."""

    job: Job
    pool: ThreadPoolExecutor
    compiling: Future[None] | None = None
    django: dict[str, t.Any] | None = None
    static: dict[str, t.Any] | None = None
    sbom: dict[str, t.Any] = field(default_factory=dict)
    manifest: dict[str, t.Any] = field(default_factory=dict)
    blobs: list[dict[str, t.Any]] = field(default_factory=list)

    def steps(self) -> t.Iterator[Step]:
        """Yield the steps in order: name and what is done."""
        job = self.job
        yield "unpack", job.unpack
        if job.inputs["layer"]:
            yield "layer", lambda: dependencies.take_over(job)
        else:
            if job.inputs["sdists"]:
                yield "sdists", lambda: dependencies.build_sdists(job)
            yield "install", lambda: dependencies.install(job)
            self.compiling = self.pool.submit(dependencies.compile_all, job)
            yield "verify", lambda: dependencies.verify(job)
        yield "code", lambda: app_code.unpack(job)
        if job.inputs["package"]:
            yield "bytecode", self.wait
            yield "package", lambda: dependencies.add_project(job)
        if job.inputs["commands"]:
            # They may change nothing of the environment, so it has to be complete.
            yield "bytecode", self.wait
            yield "commands", lambda: app_code.run_commands(job)
        yield "exclude", lambda: app_code.exclude(job)
        yield "django", self.ask_django
        yield "bytecode", self.wait
        yield "compile", lambda: app_code.compile_app(job)
        yield "scan", self.scan
        yield "seal", self.seal
        yield "write", self.write

    def wait(self) -> None:
        """Wait for the bytecode of the dependencies."""
        if self.compiling is not None:
            self.compiling.result()

    def ask_django(self) -> None:
        """Collect static files and read all migrations."""
        compiled = self.compiling is None or self.compiling.done()
        self.django, self.static = django_steps.ask(self.job, compiled=compiled)

    def scan(self) -> None:
        """Take out what belongs to this machine, and refuse what still names its folders."""
        installed.prune(self.job.venv)
        if self.static is None:
            shutil.rmtree(f"{self.job.tree}/{django_steps.STATIC}", ignore_errors=True)
        # A user without an entry has "~" for a home, which stands in many a file.
        homes = [os.path.join(home, "") for home in [os.path.expanduser("~")] if os.path.isabs(home)]
        found = installed.leak(self.job.tree, [self.job.work, *homes])
        if found:
            raise ContainerlessError(
                f"{found} holds the path of the build folder or of the builder's home, so it would differ elsewhere"
            )

    def seal(self) -> None:
        """Write META and the list of all files."""
        job, inputs = self.job, self.job.inputs
        meta = Path(job.tree, "META")
        meta.mkdir()
        shutil.copyfile(job.at("in/lock"), meta / "lock")
        about = {key: inputs[key] for key in ("project", "version", "commit", "python", "lock")}
        meta.joinpath("about.json").write_bytes(canonical.dumps(about))
        site = installed.site_packages(job.venv)
        self.sbom = sbom.document(
            site,
            project=inputs["project"],
            version=inputs["version"],
            commit=inputs["commit"],
            epoch=job.epoch,
            distributions=inputs["distributions"],
            lock_sha256=inputs["lock"]["sha256"],
        )
        job.warnings += sbom.faults(site)
        meta.joinpath(sbom.FILE).write_bytes(canonical.dumps(self.sbom))
        summary = tree.seal(job.tree)
        self.manifest = {"tree": {"sha256": summary.sha256, "files": summary.files, "bytes": summary.bytes}}

    def write(self) -> None:
        """Write tar and blobs in one pass, then the manifest."""
        job, inputs = self.job, self.job.inputs
        plain, blobs = pack.pack(job.tree, job.out, job.epoch, inputs["encodings"])
        self.blobs = [
            {"encoding": encoding, "sha256": blobs[encoding].sha256, "size": blobs[encoding].size}
            for encoding in inputs["encodings"]
        ]
        self.manifest.update(
            schema="containerless.manifest/v1",
            project=inputs["project"],
            version=inputs["version"],
            source={"commit": inputs["commit"], "tree": inputs["tree"], "dirty": inputs["dirty"]},
            source_date_epoch=job.epoch,
            tar={"sha256": plain.sha256, "size": plain.size},
            python={key: job.facts[key] for key in ("implementation", "version", "soabi", "magic")},
            platform={"machine": job.facts["machine"], "libc": "glibc", "libc_min": elf.tree_glibc_min(job.tree)},
            distributions=inputs["distributions"],
            processes=inputs["processes"],
            timers=inputs["timers"],
            static=self.static,
            django=self.django,
            lock=inputs["lock"],
            sbom={"sha256": canonical.digest(self.sbom)},
        )

    def builder(self) -> dict[str, t.Any]:
        """Return what this machine says of itself, for the provenance."""
        job = self.job
        return {
            "uv": job.inputs["uv"],
            "python": job.facts["full"],
            "libc": job.facts["libc"],
            "zlib": job.facts["zlib"],
            "kernel": os.uname().release,
            "network": "none" if job.commands.isolated else "of the machine",
        }


def build(bundle: str, out: str, folder: str, python: str) -> Built:
    """Build the artifact whose inputs are `bundle`; write `blob.<encoding>` to `out`. Nothing else stays behind."""
    os.umask(0o022)
    started = now()
    seconds: dict[str, float] = {}
    work = tempfile.mkdtemp(prefix=PREFIX, dir=choose_folder(folder, bundle))
    try:
        with (
            open(bundle, "rb") as stream,
            open(os.path.join(out, PROGRESS), "wb", 0) as progress,
            runner.unprivileged(work),
            ThreadPoolExecutor(1) as pool,
        ):
            job = Job(work, stream, progress, python, runner.make_runner(runner.environment(work, 0)))
            doing = Build(job, pool)
            for name, step in doing.steps():
                job.say(name)
                begin = time.monotonic()
                step()
                seconds[name] = round(seconds.get(name, 0) + time.monotonic() - begin, 2)
        for blob in doing.blobs:
            hand_over(job.out, out, f"blob.{blob['encoding']}")
        document = provenance.statement(
            content_id=identity.content_id(doing.manifest),
            manifest=doing.manifest,
            inputs=job.inputs,
            builder=doing.builder(),
            blobs=doing.blobs,
            times=(started, now()),
        )
        return Built(doing.manifest, document, doing.sbom, seconds, job.warnings)
    finally:
        begin = time.monotonic()
        remove(work)
        seconds["clean"] = round(time.monotonic() - begin, 2)
