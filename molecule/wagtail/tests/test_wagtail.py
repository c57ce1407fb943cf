# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The home page and an uploaded image are served; Pillow runs inside the strict sandbox; the artifact is signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from testinfra.host import Host

DOMAIN = "site.example.org"
USER, PASSWORD = "editor", "only-for-this-scenario"
UPLOAD = Path(__file__).with_name("upload.py").read_text(encoding="utf-8")


def ask(host: Host, path: str) -> tuple[int, str]:
    done = host.run(
        f"curl -sS -H 'Host: {DOMAIN}' -w '\\n%{{http_code}} %{{content_type}}' http://127.0.0.1{path} -o /tmp/answer"
    )
    return int(done.stdout.split()[0] or 0), done.stdout.split()[-1]


def active(host: Host) -> dict[str, Any]:
    with host.sudo():
        return json.loads(host.check_output("containerless status site --json"))[0]


def make_editor(host: Host) -> None:
    """Make an account as the app's user; its password hash does not depend on the secret key."""
    tree = f"/srv/containerless/site/trees/{active(host)['content_id']}"
    script = (
        "import django; django.setup(); from django.contrib.auth import get_user_model as m; U = m().objects; "
        f"U.filter(username='{USER}').exists() or U.create_superuser('{USER}', '', '{PASSWORD}')"
    )
    env = (
        "STATE_DIRECTORY=/var/lib/containerless/site/data CREDENTIALS_DIRECTORY=/tmp/throwaway "
        f"STATIC_ROOT={tree}/static DJANGO_SETTINGS_MODULE=mysite.settings.production PYTHONDONTWRITEBYTECODE=1"
    )
    host.check_output(
        "mkdir -p /tmp/throwaway && printf throwaway > /tmp/throwaway/SECRET_KEY && chmod -R a+rX /tmp/throwaway"
    )
    with host.sudo():
        host.check_output(f'cd {tree}/app && sudo -u cl-site env {env} {tree}/venv/bin/python -c "{script}"')


def test_the_home_page_is_served(host: Host) -> None:
    status, _ = ask(host, "/")
    assert status == 200
    assert "Welcome to your new Wagtail site" in host.check_output("cat /tmp/answer")


def test_an_uploaded_image_is_served_by_the_proxy(host: Host) -> None:
    make_editor(host)
    host.check_output(f"cat > /tmp/upload.py <<'END'\n{UPLOAD}\nEND")
    address = host.check_output(f"python3 /tmp/upload.py {DOMAIN} {USER} {PASSWORD}")
    status, kind = ask(host, address)
    assert (status, kind) == (200, "image/png")
    assert host.check_output("head -c 4 /tmp/answer | od -An -tx1").split() == ["89", "50", "4e", "47"]


def test_the_host_says_who_signed_what_runs(host: Host) -> None:
    with host.sudo():
        assert "signature: ci@example.org\n" in host.check_output("containerless status site") + "\n"


def test_the_folder_of_uploads_is_not_listed(host: Host) -> None:
    assert ask(host, "/media/images/")[0] == 403


def test_it_runs_in_the_strict_sandbox_without_an_opt_out(host: Host) -> None:
    found = active(host)
    assert found["running"] is True
    assert found["sandbox"]["profile"] == "strict"
    assert found["sandbox"]["opt_out"] == []
    unit = f"containerless-site-web@{found['activation']}.service"
    assert host.service(unit).is_running
    assert host.check_output(f"systemctl show -P PrivateNetwork {unit}") == "yes"
    with host.sudo():
        assert ": 0.2 SAFE" in host.check_output(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
    assert "containerless-site" not in host.check_output("systemctl --failed --plain --no-legend")
