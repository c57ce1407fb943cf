# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of single processes, media for a web server, secrets that are encrypted at rest, and limits: one release."""

from __future__ import annotations

import shlex

import pytest
from ansible_collections.containerless.django.tests.rig import APP, Host, Rig
from ansible_collections.containerless.django.tests.rig.core import SECRETS

DATA, SHARED = f"/var/lib/containerless/{APP}/data", f"/var/lib/containerless/{APP}/shared"
USER = "rig-worker"
KEY = "/var/lib/systemd/credential.secret"
UPLOAD = (
    "import os; p = os.environ['STATE_DIRECTORY'] + '/{0}'; os.makedirs(p, exist_ok=True);"
    " open(p + '/a', 'w').write('hello')"
)
WIDENED = {
    "app_release_users": {"worker": USER},
    "app_sandbox_media_group": "www-data",
    "app_release_secrets_encrypted": True,
    "app_sandbox_oom_policy": "kill",
    "app_sandbox_nofile": 4096,
    "app_sandbox_log_interval": 10,
    "app_sandbox_log_burst": 50,
}


@pytest.fixture(scope="module", autouse=True)
def released(rig: Rig) -> None:
    rig.release("v1").check()
    rig.release("v1", **WIDENED).check()


def of_web(host: Host, code: str, *, check: bool = True) -> str:
    return host.sh(f"containerless manage {APP} -- shell -c {shlex.quote(code)}", check=check).stdout


def of_worker(host: Host, code: str) -> str:
    """Run it in the sandbox of the worker; return what it said when it failed, else nothing."""
    argv = ["containerless", "learn", APP, "worker", "--", "python", "-c", code]
    done = host.sh(shlex.join(argv), check=False)
    return "" if done.returncode == 0 else done.stdout


def test_a_worker_has_a_user_and_a_state_of_its_own(host: Host) -> None:
    number = host.sh(f"readlink /run/containerless/{APP}/web.sock").stdout.split("/")[0]
    shown = host.sh(f"systemctl show -p User,StateDirectory containerless-{APP}-worker@{number}.service").stdout
    assert f"User={USER}\n" in shown
    assert f"StateDirectory=containerless/{APP}/users/{USER}\n" in shown
    assert f"User=cl-{APP}\n" in host.sh(f"systemctl show -p User containerless-{APP}-web@{number}.service").stdout
    assert host.sh(f"stat -c %U /var/lib/containerless/{APP}/users/{USER}").stdout.strip() == USER


def test_it_reaches_nothing_of_web_s_state(host: Host) -> None:
    """By its sandbox, and by the file modes alone too."""
    assert "FileNotFoundError" in of_worker(host, f"open('{DATA}/rig.sqlite3')")
    assert "FileNotFoundError" in of_worker(host, f"open('{DATA}/new', 'w')")
    for attempt in (f"cat {DATA}/rig.sqlite3", f"touch {DATA}/new", f"ls {DATA}"):
        refused = host.sh(f"cd /; setpriv --reuid={USER} --regid={USER} --groups=clsh-{APP} {attempt}", check=False)
        assert "Permission denied" in refused.stderr


def test_both_write_into_the_shared_folder_and_read_each_other(host: Host) -> None:
    folder = "import os; p = os.environ['CONTAINERLESS_SHARED'] + '/{0}.d'; "
    write = folder + "os.makedirs(p, exist_ok=True); open(p + '/x', 'w').write('{0}')"
    read = folder + "assert open(p + '/x').read() == '{0}'"
    assert of_worker(host, write.format("worker")) == ""
    of_web(host, write.format("web"))
    of_web(host, read.format("worker"))
    assert of_worker(host, read.format("web")) == ""
    assert host.sh(f"cd /; runuser -u nobody -- ls {SHARED}", check=False).returncode != 0


def test_nothing_in_the_shared_folder_is_executed(host: Host) -> None:
    code = f"import os, shutil; shutil.copy('/usr/bin/true', '{SHARED}/x'); os.execv('{SHARED}/x', ['x'])"
    assert "PermissionError" in of_worker(host, code)


def test_nginx_reads_what_is_uploaded_and_not_the_database_beside_it(rig: Rig, host: Host) -> None:
    config = f"server {{ listen 8081; location /data/ {{ alias {DATA}/; }} }}\n"
    host.put(config.encode(), "/etc/nginx/conf.d/data.conf")
    host.sh("nginx -q -t && systemctl reload-or-restart nginx")
    of_web(host, UPLOAD.format("media/2026"))
    ask = "curl --silent --output /dev/null --write-out %{http_code} http://127.0.0.1:8081/data/"
    assert host.sh(f"{ask}media/2026/a").stdout == "200"
    assert host.sh(f"{ask}rig.sqlite3").stdout == "403"
    assert host.sh(f"test -s {DATA}/rig.sqlite3").returncode == 0
    assert host.sh(f"stat -c '%U %G' {DATA}/media/2026/a").stdout.split() == [f"cl-{APP}", "www-data"]


def test_without_the_option_nginx_reads_no_upload(host: Host) -> None:
    of_web(host, UPLOAD.format("other"))
    ask = "curl --silent --output /dev/null --write-out %{http_code} http://127.0.0.1:8081/data/"
    assert host.sh(f"{ask}other/a").stdout == "403"


def test_limits_are_those_that_were_asked_for(host: Host) -> None:
    number = host.sh(f"readlink /run/containerless/{APP}/web.sock").stdout.split("/")[0]
    names = "OOMPolicy,LimitNOFILE,LogRateLimitIntervalUSec,LogRateLimitBurst"
    shown = host.sh(f"systemctl show -p {names} containerless-{APP}-worker@{number}.service").stdout.split()
    assert sorted(shown) == [
        "LimitNOFILE=4096",
        "LogRateLimitBurst=50",
        "LogRateLimitIntervalUSec=10s",
        "OOMPolicy=kill",
    ]


def test_what_logs_for_ever_is_cut_short(host: Host) -> None:
    """In the very sandbox: an operator's command prints to its caller, what is learned from logs to the journal."""
    code = "import sys; [print('flood', n) for n in range(500)]; sys.exit(1)"
    since = host.sh("date +@%s").stdout.strip()
    assert of_worker(host, code)
    told = f"journalctl -q -o cat --since={since} -u 'containerless-{APP}-learn-*'"
    logged = host.sh(f"{told} | grep -c ^flood").stdout.strip()
    # journald takes more than the burst where its disk is roomy (journald.conf(5)); by default it would take them all.
    assert 50 <= int(logged) < 500


def test_no_secret_is_readable_on_the_disk(host: Host) -> None:
    host.put(SECRETS["SECRET_KEY"].encode(), "/root/value", "0600")
    holding = "grep -rlF -f /root/value"
    assert host.sh(f"{holding} /etc/containerless /var/lib/containerless", check=False).stdout == ""
    assert host.sh(f"head -1 /etc/containerless/{APP}/secrets/SECRET_KEY").stdout == "containerless-sealed/v1\n"
    # It is there: the app runs with it, and a file in memory that is root's alone holds it.
    held = host.sh(f"{holding} /run/containerless/{APP}").stdout.split()
    assert held
    assert host.sh(f"stat -c '%a %U %F' {held[0]}; stat -f -c %T {held[0]}").stdout.split()[:2] == ["600", "root"]
    assert SECRETS["SECRET_KEY"] not in host.sh(f"journalctl -q -o cat -u 'containerless-{APP}-*@*'").stdout


def test_a_rollback_and_a_boot_decrypt(host: Host) -> None:
    host.sh(f"containerless rollback {APP} --why there")
    host.sh(f"containerless rollback {APP} --why back", check=False)
    host.sh(f"containerless boot {APP}")
    assert "running" in host.sh(f"containerless status {APP}").stdout


def test_a_lost_key_is_one_sentence_and_the_next_release_mends_it(rig: Rig, host: Host) -> None:
    rig.release("v1", **WIDENED, env={"RIG_COLOUR": "red"}).check()
    before = host.sh(f"readlink /run/containerless/{APP}/web.sock").stdout
    host.sh(f"mv {KEY} /root/key")
    refused = host.sh(f"containerless rollback {APP}", check=False)
    assert refused.returncode == 1
    assert f"can't be decrypted with this host's key {KEY}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert host.sh(f"readlink /run/containerless/{APP}/web.sock").stdout == before
    assert "running" in host.sh(f"containerless status {APP}").stdout
    rig.release("v1", **WIDENED, env={"RIG_COLOUR": "blue"}).check()
    host.sh(f"containerless rollback {APP}")
    assert "running" in host.sh(f"containerless status {APP}").stdout


def test_turning_it_off_makes_the_values_plain_again(rig: Rig, host: Host) -> None:
    rig.release("v1", **{**WIDENED, "app_release_secrets_encrypted": False}).check()
    assert host.sh(f"cat /etc/containerless/{APP}/secrets/SECRET_KEY").stdout == SECRETS["SECRET_KEY"]


def test_users_and_group_go_with_the_data(rig: Rig, host: Host) -> None:
    rig.remove(data=True).check()
    for kind, name in (("passwd", USER), ("passwd", f"cl-{APP}"), ("group", f"clsh-{APP}")):
        assert host.sh(f"getent {kind} {name}", check=False).returncode == 2
