# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ships the sample project, upgrades it, breaks it and goes back, while a client keeps asking.

Run it by `make demo`. Everything it makes stands below .cache/demo, beside one throwaway machine; `make clean` removes
both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests/fixtures/shop")]

import history  # noqa: E402
from load import Load, Tally  # noqa: E402

FOLDER = ROOT / ".cache/demo"
SOURCE, STORE, LOG = FOLDER / "shop", FOLDER / "store", FOLDER / "ansible.log"
INVENTORY = FOLDER / "inventory"
MACHINES = ("demo", "demo-build")
DOMAIN = "shop.example.org"
TAIL_LINES = 40
SETTINGS = {
    "app_name": "shop",
    "app_src": str(SOURCE),
    "app_store": STORE.as_uri(),
    "app_release_domain": DOMAIN,
    "app_release_env": {"DJANGO_SETTINGS_MODULE": "shop.settings", "SHOP_HOSTS": DOMAIN},
    "app_release_secrets": {"SECRET_KEY": "only-for-the-demo-0123456789-abcdefghijklmnopqrstuvwxyz"},
    "app_release_health_path": "/health/",
    "app_release_health_timeout": 8,
    "app_release_health_stay_up": 1,
    "app_release_drain": 1,
    "app_release_watch": 2,
    "app_test_settle": 3,
    "app_test_reports": str(FOLDER / "reports"),
    # What this demo builds is built here and now, on a machine that all four versions share.
    "app_build_store": (FOLDER / "built").as_uri(),
    "app_build_host": "demo-build",
    # Looked for once, when the first machines are made.
    "app_machine_install_packages": False,
}
# What a person watches: the tasks as they begin, and the lines that long ones print.
STEP = re.compile(r"^(?:TASK \[(?:[\w.]+ : )?(?P<task>.+?)\] \*|  (?P<said>\S+: .+ \.\.\.)$)")
console = Console(width=80 if not sys.stdout.isatty() else None, highlight=False)


@dataclass
class Row:
    """A line of the closing table."""

    step: str
    seconds: float
    release: str
    requests: Tally | None
    exposure: str


class Story:
    """Runs the steps and keeps their figures."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.load: Load | None = None
        self.machine: dict[str, str] = {}

    def play(self, title: str, playbook: str, *extra: str, refused: str = "") -> None:
        """Run a playbook and add a row; with `refused` it must end in a refusal that contains this text."""
        before, started = self.tally(), time.monotonic()
        console.print(f"\n[bold]{title}[/bold]")
        rc, tail = run_playbook(playbook, *extra)
        seconds = time.monotonic() - started
        text = " ".join(" ".join(tail).split())
        if refused and (rc == 0 or refused not in text):
            give_up(f"{title}: expected a refusal with {refused!r}", tail)
        if not refused and rc != 0:
            give_up(f"{title}: the playbook ended with {rc}", tail)
        if refused:
            console.print(f"  [yellow]refused[/yellow]: {reason(text)}")
        release, exposure = self.live()
        requests = self.tally() - before if self.load else None
        self.rows.append(Row(title, seconds, release, requests, exposure))

    def tally(self) -> Tally:
        return self.load.tally() if self.load else Tally()

    def live(self) -> tuple[str, str]:
        """Return what the machine itself says: live release and exposure of its web process."""
        rc, out = self.on_machine("containerless status shop --json")
        app = json.loads(out)[0] if rc in (0, 3) and out.startswith("[") else {}
        if not app.get("release"):
            return "-", "-"
        unit = f"containerless-shop-web@{app['activation']}.service"
        score = self.on_machine(f"systemd-analyze security --no-pager {unit} | tail -n 1")[1]
        found = re.search(r"(\d+\.\d)", score)
        return app["release"], found.group(1) if found else "?"

    def on_machine(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            [*self.machine["ssh"].split(), "--", "sudo", "sh", "-c", f"'{command}'"],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def run_playbook(playbook: str, *extra: str) -> tuple[int, list[str]]:
    """Run ansible-playbook; show each step as it begins and keep everything in the log. Returns (rc, last lines)."""
    argv = ["ansible-playbook", "-i", str(INVENTORY), playbook, *extra]
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    started = time.monotonic()
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {' '.join(argv)}\n")
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                log.write(line)
                tail.append(line.rstrip())
                if step := STEP.match(line):
                    console.print(f"  [dim]{time.monotonic() - started:5.1f} s  {step['task'] or step['said']}[/dim]")
        return process.returncode, list(tail)


def reason(text: str) -> str:
    """Return the sentence that a failed task gave."""
    found = re.search(r"(?:Task failed: (?:Module failed: )?|msg: '?)(.+?)(?: Origin:|'? PLAY RECAP|$)", text)
    return (found.group(1) if found else text[-300:]).strip()[:400]


def give_up(why: str, tail: list[str]) -> None:
    console.print("\n".join(tail), style="dim", markup=False)
    console.print(f"[red]{why}[/red]; all output stands in {LOG.relative_to(ROOT)}")
    sys.exit(1)


def prepare(story: Story) -> None:
    """Make source, inventory and machine anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (INVENTORY / "group_vars").mkdir(parents=True)
    STORE.mkdir()
    history.create(SOURCE)
    (INVENTORY / "group_vars/all.json").write_text(json.dumps(SETTINGS, indent=2), encoding="utf-8")
    (INVENTORY / "localhost.yml").write_text(
        "ungrouped: {hosts: {localhost: {ansible_connection: local}}}\n", encoding="utf-8"
    )
    started = time.monotonic()
    console.print("[bold]Two throwaway machines[/bold] (the first time their image is built, which takes minutes)")
    rc, tail = run_playbook(
        str(HERE / "machine.yml"), "-e", json.dumps({"demo_owner": str(ROOT), "demo_folder": str(FOLDER)})
    )
    if rc != 0:
        give_up("the machines could not be made", tail)
    story.machine = machine()
    story.rows.append(Row("machines", time.monotonic() - started, "-", None, "-"))


def machine() -> dict[str, str]:
    """Return how to reach the machine, from the inventory that its role wrote."""
    listed = json.loads(
        subprocess.run(
            ["ansible-inventory", "-i", str(INVENTORY), "--host", "demo"], capture_output=True, text=True, check=True
        ).stdout
    )
    return {"http": listed["app_machine_http"], "ssh": listed["app_machine_ssh"]}


def ship(story: Story, tag: str, title: str, refused: str = "") -> None:
    history.checkout(SOURCE, tag)
    story.play(title, "containerless.django.ship", "-e", f"app_release_reason=demo-{tag}", refused=refused)


def closing(story: Story) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for head, justify in (
        ("step", "left"),
        ("s", "right"),
        ("live release", "left"),
        ("ok", "right"),
        ("lost", "right"),
        ("exp.", "right"),
    ):
        table.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in story.rows:
        asked = (str(row.requests.answered), str(row.requests.failed)) if row.requests else ("-", "-")
        table.add_row(row.step, f"{row.seconds:.0f}", row.release, *asked, row.exposure)
    total = story.tally()
    table.add_row(
        "total", f"{sum(row.seconds for row in story.rows):.0f}", "", str(total.answered), str(total.failed), ""
    )
    console.print()
    console.print(table)
    if total.failed:
        console.print(f"[red]failed requests[/red]: {total.reasons}")
    ssh = story.machine["ssh"]
    console.print(f"\nThe site:     {story.machine['http']} (Host: {DOMAIN})")
    console.print(f"Look inside:  {ssh}", soft_wrap=True)
    console.print("              sudo containerless status shop; sudo containerless history shop")
    console.print("              sudo journalctl -u 'containerless-shop-*'")
    console.print("Remove all:   make clean")


def remove() -> None:
    """Remove the machines, whether the story ended well or not."""
    for name in MACHINES:
        options = json.dumps({"name": name, "owner": str(ROOT), "state": "absent"})
        argv = ["ansible", "localhost", "-c", "local", "-m", "containerless.django.machine", "-a", options]
        subprocess.run([*argv, *([] if os.geteuid() == 0 else ["--become"])], stdout=subprocess.DEVNULL, check=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--remove", action="store_true", help="remove the machines at the end, also after a failure")
    options = parser.parse_args()
    os.chdir(ROOT)
    try:
        tell()
    finally:
        if options.remove:
            remove()


def tell() -> None:
    """Tell the story; ends with 1 when a request was lost."""
    story = Story()
    prepare(story)
    ship(story, "v1", "ship v1")
    address = urlsplit(story.machine["http"])
    story.load = Load(str(address.hostname), address.port or 80, DOMAIN)
    if why := story.load.order():
        give_up(f"v1 does not take an order: {why}", [])
    story.load.start()
    ship(story, "v2", "ship v2: a migration")
    ship(story, "v3", "ship v3: breaks on orders", refused="failed at step health")
    ship(story, "v4", "ship v4: breaking change", refused="pending migrations would break")
    back = "containerless.django.rollback"
    story.play("rollback to v1", back, refused="the database is ahead")
    story.play("rollback, accepted", back, "-e", '{"app_release_rollback_accept_newer_schema": true}')
    story.load.stop()
    closing(story)
    sys.exit(1 if story.tally().failed else 0)


if __name__ == "__main__":
    main()
