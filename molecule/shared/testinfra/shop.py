# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is true of a host that serves the sample project, whatever it runs on; scenarios import these tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from testinfra.host import Host

DOMAIN = "shop.example.org"
PROBE = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")


def ask(host: Host, path: str, *options: str) -> tuple[int, str]:
    """Ask nginx on the host itself; return status and body."""
    argv = " ".join(options)
    done = host.run(f"curl -sS -H 'Host: {DOMAIN}' -w '\\n%{{http_code}}' {argv} http://127.0.0.1{path}")
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


@pytest.fixture(name="app")
def fixture_app(host: Host) -> dict[str, object]:
    with host.sudo():
        reports = json.loads(host.check_output("containerless status shop --json"))
    assert len(reports) == 1
    return reports[0]


@pytest.fixture(name="unit")
def fixture_unit(app: dict[str, object]) -> str:
    return f"containerless-shop-web@{app['activation']}.service"


def test_the_site_answers_with_the_live_release(host: Host, app: dict[str, object]) -> None:
    status, body = ask(host, "/health/")
    assert status == 200
    assert json.loads(body)["release"] == app["release"]
    assert app["running"] is True


def test_pages_and_hashed_static_files_are_served(host: Host) -> None:
    status, page = ask(host, "/")
    assert status == 200
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page)
    assert styles
    assert ask(host, styles[0])[0] == 200


def test_an_order_is_stored_and_the_worker_takes_it(host: Host) -> None:
    order = json.dumps({"product": "tea", "quantity": 1, "customer": "molecule"})
    status, _ = ask(host, "/api/order/", "-H 'Content-Type: application/json'", f"-d '{order}'")
    assert status == 201
    assert json.loads(ask(host, "/api/order/")[1])["orders"] >= 1


def test_each_process_is_sandboxed_below_the_limit(host: Host, app: dict[str, object]) -> None:
    for process in ("web", "worker"):
        unit = f"containerless-shop-{process}@{app['activation']}.service"
        assert host.service(unit).is_running
        out = host.run(f"systemd-analyze security --no-pager {unit}").stdout
        score = re.search(r"Overall exposure level for .*: (\d+\.\d)", out)
        assert score
        assert float(score.group(1)) <= 0.5


def test_the_app_writes_only_to_its_own_places_and_executes_nothing_there(host: Host, app: dict[str, object]) -> None:
    """The probe runs in a unit like the app's own: same text, same drop-in, another command."""
    units, task = "/run/systemd/system", f"containerless-shop-task.applied@{app['activation']}.service"
    with host.sudo():
        host.check_output(f"mkdir -p {units}/containerless-probe@1.service.d")
        host.check_output(f"cp {units}/{task}.d/50-sandbox.conf {units}/containerless-probe@1.service.d/")
        host.check_output(f"cat > /usr/local/lib/probe.py <<'END'\n{PROBE}\nEND")
        host.check_output(
            rf"sed -E 's#^(ExecStart=\S+) .*#\1 /usr/local/lib/probe.py#; s#%i#{app['activation']}#g;"
            rf" s#^StandardOutput=.*#StandardOutput=truncate:/run/probe.json#' {units}/{task}"
            rf" > {units}/containerless-probe@1.service"
        )
        host.check_output("systemctl daemon-reload && systemctl start containerless-probe@1.service")
        found = json.loads(host.check_output("cat /run/probe.json"))
        host.check_output(f"rm -r {units}/containerless-probe@1.service* /usr/local/lib/probe.py")
        host.check_output("rm /var/lib/containerless/shop/data/probe")
    assert found["writable"] == ["/dev/shm", "/tmp", "/var/lib/containerless/shop/data", "/var/tmp"]
    assert found["executable"] == []
    # The same program outside, where it may: else the probe would prove nothing.
    outside = host.run("cd /tmp && STATE_DIRECTORY=/tmp python3 - <<'END'\n" + PROBE + "\nEND")
    assert "/tmp" in json.loads(outside.stdout)["executable"]


def test_a_release_unit_is_never_enabled_but_the_boot_unit_is(host: Host, unit: str) -> None:
    assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "static"
    assert host.run("systemctl is-enabled containerless-shop.service").stdout.strip() == "enabled"


def test_code_is_root_owned_and_whole(host: Host, app: dict[str, object]) -> None:
    tree = f"/srv/containerless/shop/trees/{app['content_id']}"
    assert host.file(tree).user == "root"
    assert host.run(f"find {tree} ! -user root -o -type f -perm /022 | head").stdout == ""
    with host.sudo():
        assert "0 differ" in host.check_output("containerless verify shop")


def test_the_variant_is_built_for_the_hosts_own_python(host: Host, app: dict[str, object]) -> None:
    own = host.check_output("/usr/bin/python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    assert host.file(f"/srv/containerless/shop/trees/{app['content_id']}/venv/lib/python{own}").is_directory


def test_the_secret_is_nowhere_to_be_read(host: Host, unit: str) -> None:
    secret = "only-for-this-scenario"
    assert secret not in host.check_output(f"systemctl show {unit}")
    assert host.run(f"grep -rls {secret} /run/systemd/system /etc/containerless /srv/containerless").stdout == ""
    with host.sudo():
        pids = host.check_output(f"systemctl show -P MainPID {unit}")
        assert secret not in host.check_output(f"tr '\\0' '\\n' < /proc/{pids}/environ")
        assert host.file("/etc/containerless/shop/secrets/SECRET_KEY").mode == 0o600


def test_a_rollback_without_an_earlier_release_is_refused(host: Host, app: dict[str, object]) -> None:
    with host.sudo():
        done = host.run("containerless rollback shop")
    assert done.rc == 1
    assert "no good release before" in done.stderr
