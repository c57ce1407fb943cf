# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import build, django_steps, runner
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

ENV = runner.environment("/home/of/the/build", 1)


def test_a_command_sees_nothing_of_the_user_and_is_never_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    code = "import json, os; print(json.dumps([dict(os.environ), os.geteuid()]))"
    env, user = json.loads(runner.make_runner(ENV).run(["/usr/bin/python3", "-c", code], "asking"))
    assert {**env, "LC_CTYPE": ""} == {**ENV, "LC_CTYPE": ""}
    assert user != 0


def test_a_command_has_no_network_where_the_kernel_allows_it() -> None:
    commands = runner.make_runner(ENV)
    if not commands.isolated:
        pytest.skip("no user namespaces here")
    table = commands.run(["/usr/bin/python3", "-c", "print(open('/proc/net/dev').read())"], "asking")
    assert [line.split(":")[0].strip() for line in table.splitlines() if ":" in line] == ["lo"]


def test_a_failure_is_its_last_line_and_then_all_of_it() -> None:
    commands = runner.Runner({"PATH": runner.PATH})
    with pytest.raises(ContainerlessError, match="trying failed: last\nfirst\nlast"):
        commands.run(["sh", "-c", "echo first; echo last >&2; exit 3"], "trying")
    with pytest.raises(ContainerlessError, match="trying failed: exit status 3$"):
        commands.run(["sh", "-c", "exit 3"], "trying")
    with pytest.raises(ContainerlessError, match="trying failed: can't start /absent: No such file"):
        commands.run(["/absent"], "trying")


def test_a_build_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle"
    bundle.write_bytes(b"x" * 1_000_000)
    assert build.choose_folder(str(tmp_path), str(bundle)) == str(tmp_path)
    rooms = {build.FOLDERS[0]: 7_999_999, build.FOLDERS[1]: 8_000_000}
    monkeypatch.setattr(build, "available", lambda folder: rooms.get(folder, 0))
    assert build.choose_folder("", str(bundle)) == build.FOLDERS[1]
    with pytest.raises(ContainerlessError, match=r"not enough room in .*: a build needs 8 MB \(app_build_folder\)"):
        build.choose_folder(str(tmp_path), str(bundle))


def test_throwaway_secrets_differ_by_name_and_never_between_builds() -> None:
    assert django_steps.throwaway("A") != django_steps.throwaway("B")
    assert django_steps.throwaway("SECRET_KEY") == django_steps.throwaway("SECRET_KEY")
    assert len(django_steps.throwaway("SECRET_KEY")) >= 50
