# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make campaign-faults`: a fault in each layer of the sample project, built and tested; which step catches it.

Each fault is a commit of its own upon a healthy version, whose test has to pass. What a fault needs on the builder (a
library, a module that the lock does not hold) is put there, so that the build itself has no reason to fail.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...plugins.module_utils._test.probes.neighbour import NAME as OTHERS
from ...tools import bootstrap
from ..benchmarks import index, table
from ..fixtures.history import checkout, git
from ..fixtures.shop import history
from ..rig import hosts as machines
from ..rig.hosts import Host
from ..rig.plays import Played, play
from . import report
from .report import Progress, Row

PAGE = bootstrap.ROOT / "docs/benchmarks/faults.md"
FOLDER = bootstrap.CACHE / "campaigns/faults"
SOURCE, REPORTS = FOLDER / "shop", FOLDER / "reports"
TESTS = bootstrap.ROOT / "tests/fixtures/shop/tested"
DOMAIN = "shop.example.org"
TITLE = "Faults before a release"
INTRODUCTION = """\
Made by `make campaign-faults`, which ends with 1 when a fault slips through or another step than the expected one
catches it. Each fault is a commit upon a healthy version of the sample project; it is built, and tested by the playbook
`test` on throwaway machines. The step is the first that failed in the report. Seconds are those of the test playbook,
from its start to the refusal, and of a whole test where nothing is wrong."""
HEADS = ("fault", "level", "expected", "step that caught it", "seconds", "")

Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Fault:
    """What is wrong, how it is planted into a checkout of `tag`, and which step has to catch it (none: all is well)."""

    what: str
    expected: str
    edit: Edit = lambda _repo: None
    level: str = "default"
    tag: str = "v1"
    extra: Mapping[str, Any] = field(default_factory=dict)
    #: Seconds that the test of a healthy version may take.
    limit: int = 0


def _prepend(path: str, text: str) -> Edit:
    """Add lines behind the future import, which has to be the first."""

    def edit(repo: Path) -> None:
        file = repo / path
        before, mark, after = file.read_text(encoding="utf-8").partition("from __future__ import annotations\n")
        file.write_text(f"{before}{mark}{text}{after}", encoding="utf-8")

    return edit


def _replace(path: str, old: str, new: str) -> Edit:
    def edit(repo: Path) -> None:
        text = (repo / path).read_text(encoding="utf-8")
        assert old in text, f"{path} of the sample project has changed: {old!r} is not there"
        (repo / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def _noted(repo: Path) -> None:
    """Make another artifact of the same code: the record of the first one would do, and nothing would be tested."""
    (repo / "NOTES").write_text("the same, elsewhere\n", encoding="utf-8")


def _unique(repo: Path) -> None:
    """Let customers be unique, and write the migration for it."""
    _replace(
        "store/models.py",
        "customer = models.CharField(max_length=100)",
        "customer = models.CharField(max_length=100, unique=True)",
    )(repo)
    (repo / "store/migrations/0003_unique.py").write_text(
        "from django.db import migrations, models\n\n\n"
        "class Migration(migrations.Migration):\n"
        '    dependencies = [("store", "0002_first_products")]\n'
        "    operations = [\n"
        '        migrations.AlterField("order", "customer", models.CharField(max_length=100, unique=True)),\n'
        "    ]\n",
        encoding="utf-8",
    )


def _tested(repo: Path) -> None:
    """Give the project tests of its own, for pytest, which are none of its artifact."""
    shutil.copytree(TESTS, repo, dirs_exist_ok=True)
    with (repo / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.containerless]\nexclude = ["**/tests", "pytest.ini", "requirements-dev.*"]\n')


def _gives_away(repo: Path) -> None:
    """Let an order fill the shelf."""
    _tested(repo)
    _replace("store/forms.py", 'F("stock") - order', 'F("stock") + order')(repo)


FRONT = "    return _storefront(request, OrderForm(), 200)"
#: What is on the builder and neither in the lock nor on a host.
LIBRARY, MODULE = "libtariff.so.1", "tariff"
PYTEST = {"app_test_command": "python -m pytest", "app_test_lock": "requirements-dev.txt"}
#: A task file that opens what belongs to others to all services of a machine: nothing of it shows until it is there.
OPENING = FOLDER / "open.yml"
OPENED = [
    {
        "name": "Make the folder",
        "become": True,
        "ansible.builtin.file": {"path": "/etc/systemd/system/service.d", "state": "directory", "mode": "0755"},
    },
    {
        "name": "Open a folder to all services",
        "become": True,
        "ansible.builtin.copy": {
            "dest": "/etc/systemd/system/service.d/90-open.conf",
            "content": f"[Service]\nBindReadOnlyPaths=-/srv/containerless/{OTHERS}\n",
            "mode": "0644",
        },
    },
]
FAULTS = (
    Fault("nothing: the healthy version", "", limit=60),
    Fault(
        "a system library is missing",
        "release: verify",
        _prepend("store/models.py", f'import ctypes\n\nctypes.CDLL("{LIBRARY}")\n'),
    ),
    Fault(
        "a dependency is not in the lock, but on the builder",
        "pages",
        _replace("store/views.py", FRONT, f"    import {MODULE}\n\n    {MODULE}.__name__\n{FRONT}"),
    ),
    Fault(
        "a static file is missing",
        "static files",
        _replace(
            "store/templates/base.html", "</head>", '<link rel="stylesheet" href="/static/store/print.css"></head>'
        ),
    ),
    Fault(
        "code writes into its own tree",
        "pages",
        _replace(
            "store/views.py",
            FRONT,
            f'    from pathlib import Path\n\n    Path(__file__).with_name("hits").write_text("1")\n{FRONT}',
        ),
    ),
    Fault(
        "code needs the network at import",
        "release: health",
        _prepend(
            "shop/wsgi.py",
            'from urllib.request import urlopen\n\nRATES = urlopen("http://198.51.100.1/rates", timeout=2).read()\n',
        ),
    ),
    Fault(
        "settings need a variable that nobody declared",
        "release: verify",
        _replace(
            "shop/settings.py",
            'STATIC_URL = "/static/"',
            'STATIC_URL = "/static/"\n'
            'if "CONTAINERLESS_BUILD" not in os.environ:\n'
            '    TARIFF = os.environ["SHOP_TARIFF"]',
        ),
    ),
    Fault(
        "a worker dies after 5 s",
        "processes stay up",
        _replace(
            "store/management/commands/worker.py",
            "        stop = threading.Event()\n",
            "        threading.Timer(5, signal.raise_signal, [signal.SIGKILL]).start()\n"
            "        stop = threading.Event()\n",
        ),
    ),
    Fault(
        "the health page is always fine, other pages are broken",
        "pages",
        _replace("store/views.py", FRONT, f'    raise RuntimeError("no tea today")\n{FRONT}'),
    ),
    Fault(
        "a migration fails only with data",
        "upgrade: migrate",
        _unique,
        level="full",
        extra={"app_release_migrations": "accept"},
    ),
    Fault(
        "no way back: the old code can't read the new schema",
        "rollback: health",
        level="full",
        tag="v4",
        extra={"app_release_migrations": "accept"},
    ),
    Fault("a test of the project fails", "tests", _gives_away, level="full", extra=PYTEST),
    Fault(
        "the host opens another app's folder to all services",
        "escape suite",
        level="full",
        extra={"app_test_prepare": str(OPENING)},
    ),
    Fault(
        "nothing: the healthy version, and a healthy one before it",
        "",
        _tested,
        level="full",
        tag="v2",
        extra=PYTEST,
        limit=300,
    ),
    Fault(
        "nothing: the healthy version, on an emulated machine",
        "",
        _noted,
        # A start takes some ten times as long there.
        extra={"app_test_backend": "qemu", "app_release_health_timeout": 120},
        limit=600,
    ),
)


@dataclass(frozen=True)
class Caught:
    """What became of a fault: the step that failed first, or `build`, or nothing."""

    fault: Fault
    step: str
    seconds: float

    @property
    def verdict(self) -> str:
        return report.HELD if self.step == self.fault.expected else report.MISSED

    def cells(self) -> tuple[str, ...]:
        expected, step = self.fault.expected or "passes", self.step or "passes"
        return (self.fault.what, self.fault.level, expected, step, f"{self.seconds:.0f}", self.verdict)


def settings() -> dict[str, Any]:
    return {
        "app_name": "shop",
        "app_src": str(SOURCE),
        "app_store": (FOLDER / "store").as_uri(),
        "app_build_store": (FOLDER / "built").as_uri(),
        "app_build_platforms": ["debian12"],
        "app_build_host": "faults-build",
        "app_machine_install_packages": False,
        "app_test_backend": "nspawn",
        "app_test_reports": str(REPORTS),
        "app_release_domain": DOMAIN,
        "app_release_env": {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": DOMAIN},
        "app_release_secrets": {"SECRET_KEY": "only-for-the-campaign-0123456789-abcdefghijklmnop"},
        "app_release_health_path": "/health/",
        "app_release_health_timeout": 20,
        "app_release_health_stay_up": 1,
    }


def plant(fault: Fault) -> None:
    """Make the work tree that of a fault, and commit it."""
    git("reset", "-q", "--hard", repo=SOURCE)
    checkout(SOURCE, fault.tag)
    fault.edit(SOURCE)
    git("add", "--all", repo=SOURCE)
    if git("status", "--porcelain", repo=SOURCE):
        git("commit", "-q", "-m", fault.what, repo=SOURCE, date="2024-05-01T12:00:00Z")


def caught(fault: Fault, inventory: Path) -> Caught:
    """Build and test a fault."""
    plant(fault)
    shutil.rmtree(REPORTS, ignore_errors=True)
    built = _play("build", inventory, fault)
    if built.rc:
        return Caught(fault, "build", built.seconds)
    tested = _play("test", inventory, fault)
    reports = sorted(REPORTS.glob("*.xml"))
    step = first_failure(reports)
    # A run that fails without a report, reports a failure and goes on, or tests nothing is a fault of ours.
    if not reports or bool(step) != bool(tested.rc):
        step = f"rc {tested.rc}, {len(reports)} reports: {step or 'no failure'}"
    return Caught(fault, step, tested.seconds)


def first_failure(reports: Sequence[Path]) -> str:
    """Return the name of the first step that failed, as the reports have it; empty when none did."""
    cases = (case for path in reports for case in ET.parse(path).getroot().iter("testcase"))
    return next((str(case.get("name")) for case in cases if case.find("failure") is not None), "")


def _play(playbook: str, inventory: Path, fault: Fault) -> Played:
    extra = {"app_test_level": fault.level, **fault.extra} if playbook == "test" else {}
    return play(f"containerless.django.{playbook}", inventory, extra)


def prepare(inventory: Path) -> None:
    """Make the builder and what only it has; publish the version that is live."""
    made = machines.make(FOLDER, [{"name": "faults-build", "image": "debian12", "backend": "nspawn"}])
    builder = Host("faults-build", "shop", DOMAIN, made["faults-build"])
    builder.sh(f'cd "$(dirname "$(readlink -f /lib/*-linux-gnu/libz.so.1)")"; cp "$(readlink -f libz.so.1)" {LIBRARY}')
    builder.put(b"", f"/usr/lib/python3/dist-packages/{MODULE}.py")
    OPENING.write_text(json.dumps(OPENED), encoding="utf-8")
    plant(FAULTS[0])
    play("containerless.django.build", inventory, {}).check()
    play("containerless.django.upload", inventory, {"app_upload_require_test_record": False}).check()


def run(faults: Sequence[Fault]) -> list[Caught]:
    machines.remove(FOLDER)  # what a run left that was killed
    shutil.rmtree(FOLDER, ignore_errors=True)
    inventory = machines.inventory(FOLDER, settings())
    (FOLDER / "store").mkdir(parents=True)
    history.create(SOURCE)
    found: list[Caught] = []
    progress = Progress(len(faults))
    try:
        prepare(inventory)
        for fault in faults:
            found.append(caught(fault, inventory))
            last = found[-1]
            wrong = "" if last.verdict == report.HELD else f"expected {fault.expected or 'no failure'}"
            progress.say(f"{fault.what}: {last.step or 'passes'} ({last.seconds:.0f} s)", wrong)
    finally:
        machines.remove(FOLDER)
    return found


def rows(found: Sequence[Caught]) -> list[Row]:
    """Return the bars."""
    planted = [each for each in found if each.fault.expected]
    healthy = [each for each in found if not each.fault.expected]
    return [
        Row("faults that slipped through", len(planted), sum(not each.step for each in planted)),
        Row(
            "faults that another step caught",
            len(planted),
            sum(each.verdict != report.HELD for each in planted if each.step),
        ),
        Row("healthy versions refused", len(healthy), sum(bool(each.step) for each in healthy)),
        *(
            Row(f"{each.fault.what}, {each.fault.level}", 1, each.seconds, report.Bar(each.fault.limit), "s")
            for each in healthy
        ),
    ]


def markdown(found: Sequence[Caught]) -> str:
    lines = [HEADS, ("---", "---", "---", "---", "---:", "---"), *(each.cells() for each in found)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write(found: Sequence[Caught]) -> None:
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": str(os.cpu_count()),
        "load at the end": f"{os.getloadavg()[0]:.1f}",
        "kernel, machines": f"{platform.release()}, systemd-nspawn and QEMU without KVM, Debian 12",
    }
    measured = table.two_columns(("measured with", ""), facts)
    body = "\n".join((markdown(found), report.markdown(rows(found)), measured))
    report.write(PAGE, TITLE, INTRODUCTION, "Twelve faults, one by one", body)
    index.write()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make campaign-faults", description=__doc__)
    parser.add_argument("--only", default="", help="faults whose words hold this; no page is written")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    faults = [fault for fault in FAULTS if options.only in fault.what]
    found = run(faults)
    print(
        "\n".join(f"{'':9}{each.fault.what}: {each.step or 'passes'}, {each.seconds:.0f} s" for each in found),
        flush=True,
    )
    if len(faults) == len(FAULTS):
        write(found)
    return report.close(rows(found)) if not options.only else int(any(each.verdict != report.HELD for each in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
