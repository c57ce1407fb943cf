# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the sandbox's drop-in. What it stops is shown by tests/integration/sandbox, on booted machines."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import typing as t
from pathlib import Path

import jinja2
import pytest
from ansible_collections.containerless.django.plugins.module_utils._sandbox import directives
from ansible_collections.containerless.django.plugins.plugin_utils import _sandbox

TEMPLATE = Path(__file__).parents[3] / "roles/app_sandbox/templates/50-sandbox.conf.j2"
TREE = "/srv/containerless/shop/trees/" + "5a" * 32
STATE = "/var/lib/containerless/shop/data"
# Keys of the unit itself; the drop-in also stands over units of other teams.
NOT_OURS = [
    "Type",
    "ExecStart",
    "User",
    "Group",
    "Environment",
    "LoadCredential",
    "Restart",
    "Timeout",
    "KillMode",
    "Slice",
    "WorkingDirectory",
]
# Assigning nothing takes back what a unit, or an earlier drop-in, had put into a list that opens something.
TAKEN_BACK = [
    "BindPaths",
    "CacheDirectory",
    "DeviceAllow",
    "ExecPaths",
    "IPAddressAllow",
    "LogsDirectory",
    "NoExecPaths",
    "ReadWritePaths",
    "RestrictAddressFamilies",
    "RuntimeDirectory",
    "StateDirectory",
    "SystemCallFilter",
    "TemporaryFileSystem",
]


# Neither opened by anybody nor weaker anywhere: where the app's files are, and what is no protection by itself.
KEPT = {
    "BindReadOnlyPaths",
    "Delegate",
    "ExecPaths",
    "KeyringMode",
    "LimitNOFILE",
    "LogRateLimitBurst",
    "LogRateLimitIntervalSec",
    "MemoryPressureWatch",
    "NotifyAccess",
    "StateDirectory",
    "StateDirectoryMode",
    "SystemCallErrorNumber",
}


def render(
    version: int = 257,
    *,
    profile: str = "strict",
    notify: bool = True,
    bind_read_only: t.Sequence[str] = (),
    ip_allow: t.Sequence[str] = (),
    opt_out: t.Sequence[dict[str, t.Any]] = (),
    unenforced: t.Sequence[dict[str, t.Any]] = (),
    **limits: object,
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    given: dict[str, t.Any] = {"profile": profile, "limits": limits, "bind_read_only": bind_read_only}
    given |= {"ip_allow": ip_allow, "opt_out": opt_out, "unenforced": unenforced}
    return environment.get_template(TEMPLATE.name).render(
        **_sandbox.options(given),
        systemd_version=version,
        app={
            "name": "shop",
            "user": "cl-shop",
            "group": "cl-shop",
            "tree": TREE,
            "state_directory": "containerless/shop/data",
            "state_path": STATE,
            "notify": notify,
        },
    )


def assignments(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def values(text: str, key: str) -> list[str]:
    return [value for name, value in assignments(text) if name == key]


@pytest.mark.parametrize("profile", _sandbox.PROFILES)
def test_every_line_is_a_section_a_comment_or_an_assignment(profile: str) -> None:
    text = render(profile=profile, bind_read_only=["/run/postgresql"])
    assert [line for line in text.splitlines() if line.startswith("[")] == ["[Service]"]
    assert all(key.isalpha() or key == "SystemCallFilter" for key, _ in assignments(text))
    assert "{" not in text
    assert text.endswith("\n")


@pytest.mark.parametrize("profile", _sandbox.PROFILES)
@pytest.mark.parametrize("key", NOT_OURS)
def test_the_units_own_keys_are_left_to_it(key: str, profile: str) -> None:
    assert not any(name.startswith(key) for name, _ in assignments(render(profile=profile)))


@pytest.mark.parametrize("profile", ["strict", "standard", "compat"])
@pytest.mark.parametrize("key", TAKEN_BACK)
def test_lists_begin_empty(key: str, profile: str) -> None:
    assert values(render(profile=profile), key)[0] == ""


@pytest.mark.parametrize("profile", ["standard", "compat"])
def test_a_profile_with_network_denies_metadata_or_all_but_what_is_named(profile: str) -> None:
    assert "169.254.0.0/16" in values(render(profile=profile), "IPAddressDeny")[-1]
    named = render(profile=profile, ip_allow=["localhost", "10.0.0.0/8"])
    assert values(named, "IPAddressDeny")[-1] == "any"
    assert values(named, "IPAddressAllow")[-1] == "localhost 10.0.0.0/8"


def test_a_looser_profile_protects_by_no_directive_that_a_tighter_one_lacks() -> None:
    protecting = [set(directives.protecting([render(profile=profile)])) for profile in _sandbox.PROFILES]
    assert all(looser <= tighter for tighter, looser in itertools.pairwise(protecting))
    assert protecting[0] - protecting[1] == {"PrivateNetwork", "ProcSubset"}
    assert protecting[1] - protecting[2] == {"MemoryDenyWriteExecute", "PrivateUsers"}


def test_the_table_knows_every_directive_of_a_profile() -> None:
    """What is not in it can't be opted out of, and no look at the target tells whether it counts."""
    left = {key for key, value in directives.asked([render()]).items() if value} - set(directives.OPEN)
    assert left == KEPT


def test_read_only_binds_come_after_the_reset_that_they_share_with_bind_paths() -> None:
    names = [name for name, _ in assignments(render(bind_read_only=["/run/postgresql"]))]
    assert names.index("BindReadOnlyPaths") > max(index for index, name in enumerate(names) if name == "BindPaths")


def test_the_allow_list_of_system_calls_comes_before_what_is_taken_from_it() -> None:
    assert [value[:1] for value in values(render(), "SystemCallFilter")] == ["", "@", "~", "~", "p"]


@pytest.mark.parametrize("version", [252, 253, 254, 255, 256, 257, 258])
def test_a_word_is_used_only_where_systemd_knows_it(version: int) -> None:
    text = render(version)
    newest = version >= 257
    assert values(text, "PrivateTmp") == ["disconnected" if newest else "yes"]
    assert values(text, "ProtectControlGroups") == ["strict" if newest else "yes"]
    assert values(text, "MemoryPressureWatch") == (["off"] if version >= 254 else [])


def test_every_writable_path_is_noexec() -> None:
    """For systemd, a second line about /dev/shm is a duplicate: the first would go, and with it its own file system."""
    assert values(render(), "NoExecPaths")[-1].split() == ["/", STATE, "/tmp", "/var/tmp"]
    assert values(render(), "TemporaryFileSystem")[-1].startswith("/dev/shm:rw,nosuid,nodev,noexec,")


OPT_OUTS = [
    ({"directive": "MemoryDenyWriteExecute"}, "MemoryDenyWriteExecute=no"),
    ({"directive": "TasksMax"}, "TasksMax=infinity"),
    ({"directive": "SystemCallFilter"}, "SystemCallFilter="),
    ({"directive": "SystemCallFilter", "allow": ["setpriority", "@aio"]}, "SystemCallFilter=setpriority @aio"),
    ({"directive": "RestrictAddressFamilies", "allow": ["AF_NETLINK"]}, "RestrictAddressFamilies=AF_NETLINK"),
]


def test_a_folder_that_is_let_in_is_noexec() -> None:
    """A bound path is a mount of its own, which NoExecPaths=/ does not cover."""
    text = render(opt_out=[{"directive": "BindPaths", "allow": ["/var/lib/other"], "reason": "shared"}])
    assert text.endswith("\n# BindPaths: shared\nBindPaths=/var/lib/other\nNoExecPaths=/var/lib/other\n")


@pytest.mark.parametrize(("item", "line"), OPT_OUTS)
def test_an_opt_out_is_the_last_word_on_its_directive_and_says_why(item: dict[str, t.Any], line: str) -> None:
    reason = "pycares 4.4 calls back through old cffi (100%)"
    text = render(opt_out=[{**item, "reason": reason}])
    assert text.endswith(f"\n# {item['directive']}: {reason}\n{line}\n")
    protecting = directives.protecting([text])
    if "allow" in item:
        assert protecting[item["directive"]].endswith(" ".join(item["allow"]))
    else:
        assert item["directive"] not in protecting


def test_what_a_host_does_not_hold_stays_in_the_text() -> None:
    assert render(unenforced=[{"directive": "MemoryMax", "reason": "no controller"}]) == render()


def test_what_may_be_executed_is_bound_read_only() -> None:
    executable = values(render(), "ExecPaths")[-1].split()
    assert executable == ["/usr", TREE]
    assert executable == values(render(), "BindReadOnlyPaths")[0].split()


def test_static_files_are_bound_where_a_unit_has_them_apart() -> None:
    assert "served" not in render()
    text = TEMPLATE.read_text(encoding="utf-8").replace("app.served", "served")
    rendered = jinja2.Template(text, trim_blocks=True).render(
        _sandbox.options({}), systemd_version=252, app={}, served="/srv/served"
    )
    assert "/srv/served" in values(rendered, "BindReadOnlyPaths")


@pytest.mark.parametrize(("notify", "access"), [(True, "main"), (False, "none")])
def test_the_notify_socket_is_there_only_for_who_needs_it(notify: bool, access: str) -> None:
    text = render(notify=notify)
    assert values(text, "NotifyAccess") == [access]
    assert ("/run/systemd/notify" in values(text, "BindReadOnlyPaths")) is notify


def test_a_folder_that_the_user_named_must_exist() -> None:
    binds = values(render(bind_read_only=["/run/postgresql", "/run/redis"]), "BindReadOnlyPaths")
    assert binds[-2:] == ["/run/postgresql", "/run/redis"]


@pytest.mark.parametrize("profile", _sandbox.PROFILES)
def test_limits_stand_in_every_profile(profile: str) -> None:
    """An app of any profile may loop, leak and log for ever."""
    limits = {"OOMPolicy": "continue", "TasksMax": "256", "MemoryMax": "512M", "MemorySwapMax": "0", "CPUQuota": "200%"}
    limits |= {"LimitNOFILE": "16384", "LimitCORE": "0", "LogRateLimitIntervalSec": "30s", "LogRateLimitBurst": "2000"}
    text = render(profile=profile)
    assert {name: values(text, name)[-1] for name in limits} == limits
    given = render(profile=profile, oom_policy="kill", nofile=64, log_interval=5, log_burst=10)
    changed = {name: values(given, name)[-1] for name in ("OOMPolicy", "LimitNOFILE", "LogRateLimitIntervalSec")}
    assert changed == {"OOMPolicy": "kill", "LimitNOFILE": "64", "LogRateLimitIntervalSec": "5s"}
    assert values(given, "LogRateLimitBurst") == ["10"]


def test_limits_that_are_empty_are_not_written() -> None:
    assert values(render(), "MemoryHigh") == []
    assert values(render(cpu_quota=""), "CPUQuota") == []
    text = render(memory_max="1G", memory_high="800M", tasks_max=64, cpu_quota="50%")
    seen = {key: values(text, key) for key in ("MemoryMax", "MemoryHigh", "TasksMax", "CPUQuota")}
    assert seen == {"MemoryMax": ["1G"], "MemoryHigh": ["800M"], "TasksMax": ["64"], "CPUQuota": ["50%"]}


EXPOSURE = {"strict": 2, "standard": 11, "compat": 15, "talk2018": 66}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.parametrize("profile", _sandbox.PROFILES)
def test_the_exposure_that_systemd_of_this_machine_computes(tmp_path: Path, profile: str) -> None:
    said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
    version = int(said.split()[1])
    if version < 252:
        pytest.skip(f"systemd {version} is older than what we support")
    unit = tmp_path / "shop.service"
    unit.write_text("[Service]\nType=notify\nUser=cl-shop\nExecStart=/bin/true\n")
    (tmp_path / "shop.service.d").mkdir()
    (tmp_path / "shop.service.d/50-sandbox.conf").write_text(render(version, profile=profile))
    for limit, held in ((EXPOSURE[profile], True), (EXPOSURE[profile] - 1, False)):
        command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={limit}", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is held, done.stdout + done.stderr
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
