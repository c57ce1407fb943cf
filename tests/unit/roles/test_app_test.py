# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role app_test refuses, and what it reports of a host that is none: a stub answers in place of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository

from ..plugins.plugin_utils.conftest import Artifact, artifact, repository  # noqa: F401

ROLE = "containerless.django.app_test"
#: Answers what a module would, by its name.
STUB = """#!/bin/sh
case "$1" in
*test_host*) cat "{folder}/test_host.json" ;;
*release_info*) echo '{{"host": {{"platform": "debian12", "systemd": 252}}}}' ;;
*) echo '{{"failed": true, "msg": "this host is none"}}' ;;
esac
"""
CHANNEL = "built-1a2b3c4d"
Variables = dict[str, t.Any]


def ansible(book: str | list[Variables], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if not isinstance(book, str):
        (folder / "play.yml").write_text(json.dumps(book), encoding="utf-8")
    collections = next(p for p in map(Path, sys.path) if (p / "ansible_collections/containerless").is_dir())
    environ = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_NOCOLOR": "1"}
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        book if isinstance(book, str) else "play.yml",
        *words,
    ]
    return subprocess.run(argv, env=environ, cwd=folder, text=True, capture_output=True, check=False)


def refusals(
    folder: Path, cases: list[tuple[str, Variables]], told: Variables, first: t.Sequence[Variables] = ()
) -> list[str]:
    """Include a file of the role once for each case, after other tasks; return what each ended with."""
    tasks: list[Variables] = [*first]
    for entry, given in cases:
        include = {"name": ROLE, "tasks_from": entry, "rolespec_validate": False}
        note = {"__said": "{{ __said | default([]) + [ansible_failed_result.msg] }}"}
        tasks.append(
            {
                "block": [
                    {"ansible.builtin.include_role": include, "vars": given},
                    {"ansible.builtin.fail": {"msg": "nothing was refused"}},
                ],
                "rescue": [{"ansible.builtin.set_fact": note}],
            }
        )
    tasks.append({"ansible.builtin.copy": {"content": "{{ __said | to_json }}", "dest": f"{folder}/said.json"}})
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": told, "tasks": tasks}
    add = {"name": "stub", "ansible_connection": "local", "ansible_become": False}
    add["ansible_python_interpreter"] = f"{folder}/stub"
    tasks.insert(0, {"ansible.builtin.add_host": add})
    done = ansible([play], folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return t.cast("list[str]", json.loads((folder / "said.json").read_text()))


@pytest.fixture
def told(repository: Repository, artifact: Artifact, tmp_path: Path) -> Variables:  # noqa: F811
    artifact.publish(repository)
    repository.set_channel(CHANNEL, repository.pointer(repository.put_index(artifact.index)))
    return {
        "app_name": "shop",
        "app_src": str(tmp_path),
        "app_store": "",
        "app_test_store": f"file://{repository.store.folder}",
        "app_test_channel": CHANNEL,
        "app_test_reports": str(tmp_path / "reports"),
        "app_test_command": "",
        "app_release_domain": "shop.example.org",
        "app_release_secrets": {"SECRET_KEY": "x"},
    }


REFUSED: list[tuple[Variables, str]] = [
    ({"app_test_settle": -5}, "app_test_settle is -5; it is seconds, at least 0"),
    ({"app_test_timeout": 0}, "app_test_timeout is 0; it is seconds, at least 1"),
    ({"app_test_command_timeout": "0"}, "app_test_command_timeout is 0; it is seconds, at least 1"),
    ({"app_test_lease": 0}, "app_test_lease is 0; it is seconds, at least 1"),
    ({"app_test_valid_for": 0}, "app_test_valid_for is 0; it is days, from 1 to 36500"),
    ({"app_test_valid_for": 99999}, "app_test_valid_for is 99999; it is days, from 1 to 36500"),
    (
        {"app_test_secrets": {"SECRET_KEY": "x", "DSN": "x", "PEM": "x"}},
        "app_test_secrets has DSN, PEM, which app_release_secrets does not have",
    ),
    ({"app_test_secrets": {"SECRET_KEY": 5}}, "app_test_secrets SECRET_KEY is not a text; quote it in YAML"),
    ({"app_test_prepare": "/none.yml"}, "app_test_prepare is /none.yml, and there is no such file"),
    (
        {"app_test_timeout": 0, "app_test_lease": -1},
        "app_test_timeout is 0; it is seconds, at least 1; app_test_lease is -1; it is seconds, at least 1",
    ),
]


def test_what_options_say_that_can_not_be_is_refused_at_once(tmp_path: Path, told: Variables) -> None:
    said = refusals(tmp_path, [("main", given) for given, _why in REFUSED], told)
    assert said == [why for _given, why in REFUSED]


def test_a_secret_has_the_value_that_it_needs_and_any_other_is_made_up(tmp_path: Path, root: Path) -> None:
    dsn = "postgresql://cl-shop@/shop?host=/run/postgresql"
    told = {"__app_test_case": [{}, ["SECRET_KEY", "DSN"]], "app_test_secrets": {"DSN": dsn}}
    tasks: list[Variables] = [
        {"ansible.builtin.include_vars": str(root / "roles/app_test/vars/main.yml")},
        {"ansible.builtin.copy": {"content": "{{ __app_test_secrets | to_json }}", "dest": f"{tmp_path}/seen.json"}},
    ]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": told, "tasks": tasks}
    done = ansible([play], tmp_path)
    assert done.returncode == 0, done.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["DSN"] == dsn
    assert len(bytes.fromhex(seen["SECRET_KEY"])) == 32


def test_an_earlier_channel_that_somebody_named_has_to_be_there(tmp_path: Path, told: Variables) -> None:
    full = {"app_test_level": "full", "app_test_previous_store": told["app_test_store"]}
    # A first artifact: nothing is in the channel of production yet.
    cases: list[tuple[str, Variables]] = [("built", {**full, "app_test_previous_channel": "typo"}), ("built", full)]
    named, default = refusals(tmp_path, cases, told)
    assert "app_test_previous_channel is typo, and app_test_previous_store file://" in named
    assert default == "nothing was refused"


def reported(folder: Path) -> dict[str, str]:
    """Return of each step why it did not pass, in the order of the report."""
    (path,) = (folder / "reports").glob("*.xml")
    cases = ET.parse(path).getroot().iter("testcase")
    return {str(case.get("name")): "".join(str(why.get("message")) for why in case) for case in cases}


def stub(folder: Path, room: Variables) -> None:
    """Make a host of which test_host says this."""
    (folder / "stub").write_text(STUB.format(folder=folder), encoding="utf-8")
    (folder / "stub").chmod(0o755)
    (folder / "test_host.json").write_text(json.dumps(room), encoding="utf-8")


def case(artifact: Artifact) -> Variables:  # noqa: F811
    """Return what the role knows when it tests a variant on that host."""
    variant = {**artifact.index["variants"][0], "platform": "debian12", "machine": "stub"}
    platforms = {variant["content_id"]: "debian12"}
    return {
        "app_test_hosts": ["stub"],
        "__app_test_case": [variant, ["SECRET_KEY"]],
        "__app_test_built": {"index_id": "f" * 64, "version": "1", "platforms": platforms},
    }


@pytest.mark.parametrize("level", ["default", "full"])
@pytest.mark.parametrize("refuses", [True, False])
def test_a_report_is_written_wherever_a_test_ends(
    tmp_path: Path,
    told: Variables,
    artifact: Artifact,  # noqa: F811
    refuses: bool,
    level: str,
) -> None:
    stub(tmp_path, {"failed": True, "msg": "it is no guest"} if refuses else {"changed": False, "removed": False})
    given = {
        **case(artifact),
        "app_test_level": level,
        # What the variant before this one has left.
        "before": {"exposure": {"web": {"exposure": 9.1, "worst": "of another one"}}},
    }
    stale = [{"ansible.builtin.set_fact": {"__app_test_made": "{{ before }}"}}]
    (said,) = refusals(tmp_path, [("variant", given)], {**told, **given}, first=stale)
    step = "make a fresh machine" if refuses else "release: preflight"
    found = reported(tmp_path)
    assert f"gets no test record, check {step} failed: " in said
    assert next(iter(found)) == step
    assert found[step] == ("it is no guest" if refuses else found[step]) != ""
    assert found["what follows"] == "not run"
    assert found.get("upgrade") == ("" if level == "full" else None)
    (page,) = (tmp_path / "reports").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "Not measured: the release did not go live." in text
    assert ("not tried: app_test_previous_store is empty" in text) is (level == "full")
    assert ("systemd 252" in text) is not refuses


@pytest.mark.parametrize(
    ("text", "why"),
    [("- ansible.builtin.fail: {msg: no tariff}", "no tariff"), ("", "a task file of it could not be read")],
)
def test_a_task_file_that_fails_is_reported(
    tmp_path: Path,
    told: Variables,
    artifact: Artifact,  # noqa: F811
    text: str,
    why: str,
) -> None:
    stub(tmp_path, {"changed": False, "removed": False})
    if text:
        (tmp_path / "prepare.yml").write_text(text, encoding="utf-8")
    given = {**case(artifact), "app_test_prepare": str(tmp_path / "prepare.yml")}
    (said,) = refusals(tmp_path, [("variant", given)], {**told, **given})
    assert "gets no test record, check make a fresh machine failed: " in said
    assert why in reported(tmp_path)["make a fresh machine"]


GOOD = {"app_name": "my_site", "app_release_health_path": '/he"alth:', "app_release_domain": "1.2"}


def test_what_a_scaffold_writes_says_what_it_was_told(tmp_path: Path) -> None:
    words = ["-e", json.dumps(GOOD)]
    done = ansible("containerless.django.scaffold", tmp_path, *words)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "molecule/default"
    machine, ship = yaml.safe_load((folder / "converge.yml").read_text(encoding="utf-8"))
    (made,) = machine["tasks"][1]["vars"]["app_machine_list"]
    assert (made["name"], made["image"]) == ("my-site", "debian12")
    assert {name: ship["vars"][name] for name in GOOD} == GOOD
    assert ship["vars"]["app_build_platforms"] == ["debian12"]
    assert ship["vars"]["app_release_env"] == {"ALLOWED_HOSTS": "1.2"}
    tests = (folder / "tests/test_release.py").read_text(encoding="utf-8")
    assert f"http({json.dumps(GOOD['app_release_health_path'])})" in tests
    compile(tests, "test_release.py", "exec")


@pytest.mark.parametrize(
    "bad",
    [
        {"app_name": "My-Site"},
        {"app_release_health_path": "health/"},
        {"app_release_domain": "shop example"},
        {"app_test_scaffold_scenario": "../default"},
    ],
)
def test_a_scaffold_that_no_later_step_would_take_is_not_written(tmp_path: Path, bad: Variables) -> None:
    done = ansible("containerless.django.scaffold", tmp_path, "-e", json.dumps({"app_name": "shop", **bad}))
    assert done.returncode
    (value,) = bad.values()
    assert f" {value} (" in " ".join(done.stdout.split())
    assert not (tmp_path / "molecule").exists()
