# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict profile under a booted systemd: a site works in it, and what it must not do it can't.

Each attempt is also made outside as the same user, where it succeeds: a refusal without such a control proves nothing.
"""

from __future__ import annotations

import json
import urllib.parse

import pytest
from ansible_collections.containerless.django.plugins.module_utils._test import escape
from ansible_collections.containerless.django.plugins.module_utils._test.probes.neighbour import NAME as OTHER
from conftest import SERVERS, STATE, WRITABLE, Machine, render, serving


def blocked(outcomes: dict[str, str]) -> dict[str, str]:
    return {name: outcome for name, outcome in outcomes.items() if outcome != "allowed"}


def allowed(outcomes: dict[str, str]) -> list[str]:
    return sorted(name for name, outcome in outcomes.items() if outcome == "allowed")


# --- What must work ---


def test_sqlite_in_wal_mode_in_the_state_directory(site: Machine):
    first, second = site.get("/sqlite/"), site.get("/sqlite/")
    assert second["visits"] == first["visits"] + 1
    assert second["mode"] == "wal"
    assert second["files"] == ["db.sqlite3", "db.sqlite3-shm", "db.sqlite3-wal"]


def test_postgres_by_unix_socket_and_peer_authentication(site: Machine):
    assert site.get("/postgres/") == {"user": "cl-shop", "by_socket": True}


def test_pillow_reads_and_writes_media(site: Machine):
    assert site.get("/image/") == {"read back": ["JPEG", "PNG", "WEBP"]}


def test_large_upload_goes_through_the_temporary_folder(site: Machine):
    site.run("head -c 20000000 /dev/zero > /root/upload")
    assert site.get("/upload/", "--form", "file=@/root/upload") == {
        "spooled": "TemporaryUploadedFile",
        "size": 20000000,
    }


def test_threads_processes_and_shared_memory(site: Machine):
    assert site.get("/parallel/") == {"threads": 8, "queue": 42, "shared": "hello"}


def test_data_files_of_the_system(site: Machine):
    seen = site.get("/library/")
    assert (seen["zone"], seen["temporary"], seen["subprocess"]) == ("Europe/Berlin", 1, "from a shell")
    assert seen["certificates"] > 100


def test_credentials_are_there_although_run_is_hidden(machine: Machine):
    machine.run("umask 077; echo geheim > /root/key")
    script = 'test "$(cat $CREDENTIALS_DIRECTORY/key)" = geheim'
    service = f"Type=oneshot\nLoadCredential=key:/root/key\nExecStart=/bin/sh -c '{script.replace('$', '$$')}'"
    machine.unit("credential", service, render(machine.version, notify=False))
    machine.run("systemctl start credential.service")


def test_uvicorn_runs_on_uvloop(machine: Machine):
    with serving(machine, *SERVERS["uvicorn"], render(machine.version, notify=False)):
        assert machine.get("/library/")["loop"] is True


# --- What systemd says ---


@pytest.mark.parametrize("notify", [True, False])
def test_no_line_is_ignored_and_the_exposure_is_low(machine: Machine, notify: bool):
    kind = "notify" if notify else "exec"
    machine.unit("verified", f"Type={kind}\nExecStart=/usr/bin/true", render(machine.version, notify=notify))
    verified = machine.run("systemd-analyze verify --man=no --recursive-errors=no /run/systemd/system/verified.service")
    assert (verified.stdout, verified.stderr) == ("", "")
    machine.run("systemd-analyze security --threshold=3 verified.service")
    machine.run("systemd-analyze security --offline=yes --threshold=3 /run/systemd/system/verified.service")


def test_a_line_for_a_newer_systemd_would_be_noticed(machine: Machine):
    """Unknown values fail open: the gate must see them."""
    drop_in = render(machine.version, notify=False) + "ProtectControlGroups=of-the-future\n"
    machine.unit("verified", "ExecStart=/usr/bin/true", drop_in)
    verified = machine.run(
        "systemd-analyze verify --man=no --recursive-errors=no /run/systemd/system/verified.service", check=False
    )
    assert verified.returncode != 0
    assert "of-the-future" in verified.stderr


# --- What must not work ---


def test_every_attempt_succeeds_outside(machine: Machine):
    outcomes = machine.outside("cl-shop")
    refused = blocked(outcomes)
    assert set(refused) == escape.ROOT_ONLY, refused
    as_root = machine.outside("root")
    assert all(as_root[name] == "allowed" for name in escape.ROOT_ONLY)
    assert set(outcomes) == set(machine.inside["outcomes"])


def test_every_attempt_fails_inside(machine: Machine):
    assert allowed(machine.inside["outcomes"]) == []


def test_every_attempt_fails_in_a_worker_of_the_site(site: Machine):
    seen = site.get("/probes/?facts=" + urllib.parse.quote(json.dumps(site.facts)))
    assert allowed(seen["outcomes"]) == []
    assert seen["census"]["folders"] == sorted(WRITABLE)


def test_refusals_are_the_ones_meant(machine: Machine):
    """An attempt that fails for want of a file proves nothing: each kind has its own errno."""
    meant = {
        "execute": {"EACCES", "ENOEXEC"},  # ld.so says that it could not map the file
        "load": {"EACCES", "EPERM"},
        "memory": {"EPERM", "EACCES"},
        "tcp": {"EAFNOSUPPORT"},
        "socket": {"EAFNOSUPPORT"},
        "unix": {"ENOENT", "ECONNREFUSED"},
        "proc": {"ENOENT"},
        "process": {"EPERM"},
        "namespace": {"EPERM"},
        "mount": {"EPERM"},
        "syscall": {"EPERM"},
        "bits": {"EPERM", "ENOENT", "EACCES"},  # the planted program is not even seen where /usr/local is bound
        "read": {"ENOENT", "EACCES"},
        "write": {"ENOENT", "EACCES", "EROFS"},
    }
    other = {name: said for name, said in machine.inside["outcomes"].items() if said not in meant[name.split(":")[0]]}
    assert other == {}


def test_only_state_and_temporary_folders_are_writable(machine: Machine):
    census = machine.inside["census"]
    assert census["folders"] == sorted(WRITABLE)
    sockets = {"/run/postgresql/.s.PGSQL.5432", "/run/systemd/journal/dev-log", "/run/systemd/journal/socket"}
    sockets |= {"/run/systemd/notify"}
    devices = {f"/dev/{name}" for name in ("full", "null", "ptmx", "pts/ptmx", "random", "tty", "urandom", "zero")}
    assert set(census["files"]) - devices == sockets


def test_whatever_is_writable_is_mounted_noexec(machine: Machine):
    mounts = machine.inside["census"]["mounts"]
    assert {path: "noexec" in mounts[path] for path in WRITABLE} == dict.fromkeys(WRITABLE, True)
    assert all("nosuid" in options for options in mounts.values())


def test_privileges_are_none(machine: Machine):
    census = machine.inside["census"]
    none = "0" * 16
    capabilities = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), none)
    assert census["status"] == {"NoNewPrivs": "1", "Seccomp": "2"} | capabilities
    assert census["core"] == [0, 0]
    assert census["interfaces"] == ["lo"]


def test_namespaces_are_its_own(machine: Machine):
    show = "import json, os; p = '/proc/1/ns/'; print(json.dumps({n: os.readlink(p + n) for n in os.listdir(p)}))"
    hosts = json.loads(machine.run(f'python3 -c "{show}"').stdout)
    own = {name for name, link in machine.inside["census"]["namespaces"].items() if link != hosts[name]}
    expected = {"ipc", "mnt", "net", "user", "uts"} | ({"cgroup"} if machine.version >= 257 else set())
    assert own & (expected | {"cgroup"}) == expected


# --- What each line is for ---

EXECUTABLE = [STATE, "/tmp", "/var/tmp"]  # /dev/shm is mounted noexec by its own line
ABLATIONS = {
    ("NoExecPaths=/ ",): (
        "execute: ",
        {
            f"execute: {what} {place}"
            for what in ("program in", "script in", "descriptor of", "by ld.so,")
            for place in EXECUTABLE
        },
    ),
    ("NoExecPaths=/ ", "MemoryDenyWriteExecute="): ("load: ", {f"load: library in {place}" for place in EXECUTABLE}),
    ("MemoryDenyWriteExecute=",): ("memory: ", {"memory: map writable code", "memory: turn data into code"}),
    ("SystemCallFilter=",): (
        "",
        {
            "memory: execute a memfd",
            "process: read a sibling",
            "process: trace a sibling",
            "process: renice",
            "syscall: kcmp",
            "syscall: io_uring_setup",
            "syscall: name_to_handle_at",
            "syscall: mq_open",
        },
    ),
    ("SystemCallFilter=", "RestrictNamespaces="): (
        "namespace: ",
        {"namespace: user", "namespace: net", "namespace: pid", "namespace: uts", "namespace: enter"},
    ),
    ("SystemCallFilter=", "LockPersonality="): ("syscall: ", {"syscall: personality"}),
    ("TemporaryFileSystem=/boot",): (
        "",
        {
            f"read: /opt/{OTHER}/secret",
            f"read: /srv/containerless/{OTHER}/secret",
            f"read: /var/lib/containerless/{OTHER}/secret",
            "unix: D-Bus",
            "unix: other app",
        },
    ),
    ("TemporaryFileSystem=",): ("", {f"read: /dev/shm/{OTHER}/secret", f"write: /run/{OTHER}"}),
    ("InaccessiblePaths=",): ("", {f"read: /etc/containerless/{OTHER}/secret"}),
    ("TemporaryFileSystem=/dev/shm",): ("read: ", {f"read: /dev/shm/{OTHER}/secret"}),
    ("ProtectHome=",): ("read: ", {f"read: /home/{OTHER}/secret"}),
    ("ProtectSystem=",): ("write: ", {f"write: /etc/{OTHER}"}),
    ("PrivateNetwork=",): ("unix: ", {"unix: abstract"}),
    ("RestrictAddressFamilies=",): ("socket: ", {"socket: AF_INET, UDP", "socket: AF_NETLINK"}),
    ("RestrictAddressFamilies=", "PrivateNetwork=", "IPAddress"): (
        "tcp: ",
        {"tcp: loopback", "tcp: loopback, IPv6", "tcp: metadata service"},
    ),
    ("RestrictSUIDSGID=",): ("bits: ", {"bits: setuid", "bits: setgid"}),
    ("ProtectProc=",): ("proc: ", {"proc: other user"}),
    ("ProcSubset=",): ("proc: ", {"proc: uptime"}),
}


#: Lines that begin so are of these directives.
PARTS = {("RestrictAddressFamilies=", "PrivateNetwork=", "IPAddress"): ("IPAddressDeny=",)}


@pytest.mark.parametrize("lines", ABLATIONS, ids=" and ".join)
def test_without_its_lines_an_attempt_succeeds(machine: Machine, lines: tuple[str, ...]):
    only, expected = ABLATIONS[lines]
    text = render(machine.version, notify=True)
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith(lines)]
    assert len(kept) < len(text.splitlines())
    got = set(allowed(machine.probe("".join(kept), only)["outcomes"]))
    assert got >= expected
    # What level full of a test excuses where a project opted out of these, and no more than that.
    left_out = [{"directive": line.partition("=")[0]} for line in (*lines, *PARTS.get(lines, ()))]
    assert [name for name in got if not escape.meant({"profile": "strict", "opt_out": left_out})(name)] == []


def test_without_its_bind_the_systems_own_folder_is_writable(machine: Machine):
    text = render(machine.version, notify=True)
    unbound = text.replace("BindReadOnlyPaths=/usr ", "BindReadOnlyPaths=")
    assert unbound != text
    assert allowed(machine.probe(unbound, "write: ")["outcomes"]) == [f"write: /usr/local/{OTHER}"]


# --- Edges ---


def test_a_missing_folder_that_the_user_named_stops_the_start(machine: Machine):
    drop_in = render(machine.version, notify=False, bind_read_only=["/run/no-such-database"])
    machine.unit("missing", "Type=oneshot\nExecStart=/usr/bin/true", drop_in)
    assert machine.run("systemctl start missing.service", check=False).returncode != 0
    said = machine.run("journalctl --quiet -u missing.service").stdout
    assert "/run/no-such-database" in said
    assert machine.run("systemctl show --property=ExecMainStatus --value missing.service").stdout.strip() == "226"


def test_a_drop_in_takes_back_what_the_unit_had_opened(machine: Machine):
    """The text also stands over an ops team's own unit."""
    machine.run("mkdir -p /opt/tools; touch /opt/tools/x; chmod -R a+rwX /opt/tools")
    opened = f"ReadWritePaths=/etc/{OTHER}\nBindPaths=/opt/tools\nCacheDirectory=open\n"
    opened += "ExecPaths=/var/tmp\nIPAddressAllow=any\n"
    script = f"for d in /etc/{OTHER} /opt/tools /var/cache/open; do ! touch $d/x 2>/dev/null || exit 1; done"
    service = f"Type=oneshot\n{opened}ExecStart=/bin/sh -c '{script.replace('$', '$$')}'"
    machine.unit("opened", service, render(machine.version, notify=False))
    machine.run("systemctl start opened.service")


def test_a_proxy_may_pass_through_the_state_directory_but_not_list_it(machine: Machine):
    assert machine.run(f"stat -c '%a %U %G' {STATE}").stdout.split() == ["751", "cl-shop", "cl-shop"]


def test_media_in_a_folder_of_the_proxys_group_can_be_served(machine: Machine):
    """UMask=0027 keeps data from other users; the set-group-id bit of one folder hands its files to the proxy alone."""
    machine.run(f"rm -rf {STATE}/media; install -d -o cl-shop -g www-data -m 2750 {STATE}/media")
    with serving(machine, *SERVERS["gunicorn"], render(machine.version, notify=True)):
        machine.get("/image/")
        machine.get("/sqlite/")
    proxy = "setpriv --reuid=www-data --regid=www-data --clear-groups"
    machine.run(f"{proxy} cat {STATE}/media/images/a.png > /dev/null")
    assert machine.run(f"{proxy} cat {STATE}/db.sqlite3", check=False).returncode != 0
    assert machine.run(f"{proxy} ls {STATE}", check=False).returncode != 0
