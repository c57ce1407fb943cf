# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test is interrupted at every task that does something, by both ends, and no task of the role is forgotten."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.containerless.django.tests.campaigns import points
from ansible_collections.containerless.django.tests.campaigns.points import CTRL_C, KILL, Point, Task

OUTPUT = """\
PLAY [Test] ***
TASK [containerless.django.app_test : built | Read what was built] ***
ok: [localhost]
TASK [containerless.django.app_test : built | See the hosts] ***
skipping: [localhost]
TASK [containerless.django.app_test : fresh | Create the machine] ***
included: /roles/app_test/tasks/machine.yml for localhost
TASK [containerless.django.app_machine : present | Create; progress in /tmp/1.log] ***
changed: [localhost] => (item=rig)
TASK [Keep it] ***
fatal: [localhost]: FAILED! => {"msg": "no"}
""".splitlines(keepends=True)
BUILT = Task(1, "app_test", "built | Read what was built", 0.5)
CREATED = Task(4, "app_machine", "present | Create", 3.0)
FILE = """\
- name: one | Do this
  ansible.builtin.debug:
- name: one | All of it
  block:
    - name: one | Do that
      ansible.builtin.debug:
    - name: one | Go elsewhere
      ansible.builtin.include_tasks: other.yml
  always:
    - name: "one | Say it; the report is {{ path }}"
      ansible.builtin.debug:
"""


def test_what_was_left_out_or_names_others_is_no_point() -> None:
    seen = points.tasks(OUTPUT, [0.0, 0.5, 0.6, 0.7, 3.7, 4.0])
    assert seen == [BUILT, CREATED, Task(5, "", "Keep it", 4.0 - 3.7)]


def test_a_long_task_is_hit_in_its_middle_too_and_each_point_by_both_ends() -> None:
    found = points.plan("machine", [BUILT, CREATED])
    assert [(point.number, point.after, point.end) for point in found] == [
        (1, 0, CTRL_C),
        (1, 0, KILL),
        (4, 0, CTRL_C),
        (4, 0, KILL),
        (4, 1.5, CTRL_C),
        (4, 1.5, KILL),
    ]
    assert str(found[-1]) == "machine: kill -9 1.5 s into task 4, app_machine: present | Create"


def test_a_task_that_no_run_was_interrupted_at_is_missing(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/one.yml").write_text(FILE)
    (tmp_path / "tasks/scaffold.yml").write_text("- name: scaffold | Write\n  ansible.builtin.template:\n")
    expected = points.named(tmp_path, leave_out=["scaffold"])
    assert expected == {"one | Do this", "one | Do that", "one | Say it; the report is {{ path }}"}
    hit = [Point("machine", 1, f"app_test: one | {name}", 0, CTRL_C) for name in ("Do this", "Say it")]
    assert points.missing(expected, hit, "app_test") == ["one | Do that"]
    assert points.missing(expected, hit, "app_machine") == sorted(expected)
