# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's command runs as a transient unit that systemd-run makes of unit texts: the very same sandbox."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import time
import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._release import transient
from conftest import PYTHON, STATE, TREE, Machine, render

COMMON = f"User=cl-shop\nGroup=cl-shop\nWorkingDirectory={TREE}/app\nEnvironment=HOME={STATE}\n"
ODD = 'Environment="ODD=a b;c\\"d\'e\\\\f%%g$h#i\\nj\\tk\u2028l" EMPTY='
TASK = (
    f"[Unit]\nDescription=%i\n\n[Service]\nType=oneshot\n{COMMON}{ODD}\nExecStart=/usr/bin/false\nTimeoutStartSec=1\n"
)
# What two units can't have in common, and what [Unit] and the way of starting bring.
OWN = re.compile(
    "(Id|Names|Description|FragmentPath|DropInPaths|Transient|UnitFile.*|InvocationID|ControlGroup(Id)?|After|Refs"
    "|CollectMode|NeedDaemonReload|Standard(Input|Output|Error)|Exec(Start|Main).*|.*PID|.*Timestamp(Monotonic)?"
    "|(Memory|CPU|IP|IO|Tasks)(Current|Peak|Usage|Available|Read|Write|Ingress|Egress).*|EffectiveCPUs|StartLimit.*)="
)


def command(machine: Machine, argv: t.Sequence[str], unit: str = "manage", *, terminal: bool = False) -> str:
    texts = [TASK, render(machine.version, notify=False)]
    told = transient.argv(texts, argv, unit=unit, description="d", activation=7, terminal=terminal)
    return shlex.join(told)


def shown(machine: Machine, unit: str) -> list[str]:
    lines = machine.run(f"systemctl show --all {unit}.service").stdout.splitlines()
    # systemd shows these in any order: a set, kept by hashes.
    ordered = [
        " ".join(sorted(re.split("[= ]", line))) if line.startswith("RequiresMountsFor=") else line for line in lines
    ]
    return sorted(line for line in ordered if not OWN.match(line))


def test_every_property_is_that_of_a_unit_of_files(machine: Machine):
    sleeping = TASK.replace("=oneshot", "=exec").replace("/usr/bin/false", "/usr/bin/sleep 60").replace("%i", "7")
    service = sleeping.partition("[Service]\n")[2].replace(COMMON, "").replace("TimeoutStartSec=1\n", "")
    machine.unit("of-files", service, render(machine.version, notify=False))
    sandboxed = command(machine, ["/usr/bin/sleep", "60"], "of-properties")
    machine.run(f"systemctl start of-files; {sandboxed} > /dev/null 2>&1 < /dev/null & sleep 2")
    try:
        transient_unit = shown(machine, "of-properties")
        assert "ActiveState=active" in transient_unit
        assert transient_unit == shown(machine, "of-files")
    finally:
        machine.run("systemctl stop of-files of-properties")


def test_every_attempt_ends_as_it_does_in_the_unit(machine: Machine):
    facts = json.dumps(machine.facts)
    seen = json.loads(machine.run(command(machine, [PYTHON, f"{TREE}/app/probes.py", facts])).stdout)
    unit = machine.probe(render(machine.version, notify=False))
    # Each unit has namespaces of its own, by other numbers.
    own = [seen["census"].pop("namespaces"), unit["census"].pop("namespaces")]
    assert own[0].keys() == own[1].keys()
    assert seen == unit
    assert [name for name, outcome in seen["outcomes"].items() if outcome == "allowed"] == []


def test_words_and_environment_arrive_as_they_are(machine: Machine):
    words = ["$HOME", "${X}", "%i", "%%", "a b", "\"'", "\\n", "", "ü"]
    code = (
        "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['ODD'], os.environ['EMPTY'], os.getcwd()]))"
    )
    said = machine.run(command(machine, [PYTHON, "-c", code, *words])).stdout
    assert json.loads(said) == [words, "a b;c\"d'e\\f%g$h#i\nj\tk\u2028l", "", f"{TREE}/app"]


END = "import os, signal; signal.signal({0}, signal.SIG_DFL); os.kill(os.getpid(), {0})"
CODES = [
    ("pass", 0),
    ("raise SystemExit(7)", 7),
    ("raise KeyboardInterrupt", 130),
    (END.format(2), 130),
    (END.format(15), 143),
    ("import os; os.kill(os.getpid(), 9)", 137),
]


@pytest.mark.parametrize(("code", "wanted"), CODES)
def test_the_exit_code_is_that_of_the_command(machine: Machine, code: str, wanted: int):
    assert machine.run(command(machine, [PYTHON, "-c", code]), check=False).returncode == wanted


def test_input_and_output_are_the_caller_s(machine: Machine):
    copying = command(
        machine, [PYTHON, "-c", "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('no')"]
    )
    assert machine.run(f"printf 'a\\nb' | {copying} 2> /dev/null").stdout == "A\nB"


def test_a_person_is_asked_in_a_terminal_and_may_interrupt(machine: Machine):
    code = "import getpass, time; print(len(getpass.getpass('Secret: ')), 'letters'); print('waits'); time.sleep(600)"
    asking = command(machine, [PYTHON, "-c", code], terminal=True)
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [*machine.ssh[:1], "-tt", *machine.ssh[1:], "sudo", "sh", "-euc", shlex.quote(asking)]
        os.execvp(argv[0], argv)
    _read(terminal, b"Secret: ")
    os.write(terminal, b"horse\n")
    said = _read(terminal, b"waits")
    assert b"5 letters" in said
    assert b"horse" not in said
    os.write(terminal, b"\x03")
    _read(terminal, b"KeyboardInterrupt")
    _read(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert machine.run("systemctl is-active manage.service", check=False).stdout.strip() == "inactive"


def _read(terminal: int, until: bytes | None) -> bytes:
    """What a terminal shows up to a text, or up to its end."""
    said, deadline = b"", time.monotonic() + 60
    while until is None or until not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 1)[0]:
            try:
                said += os.read(terminal, 4096)
            except OSError:
                assert until is None, said
                break
    return said
