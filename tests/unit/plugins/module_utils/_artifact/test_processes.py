# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import processes
from ansible_collections.containerless.django.plugins.module_utils._artifact.processes import Process
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

TREE = "/srv/containerless/shop/trees/1"
BIN = f"{TREE}/venv/bin"
PYTHON = f"{BIN}/python"
LOCKED = {"django": "5.2.19", "gunicorn": "27.0.1", "Uvicorn": "0.40.0", "granian": "2.8.9"}
GUNICORN = ["--worker-tmp-dir", "/tmp", "--forwarded-allow-ips", "*", "--no-control-socket"]
UVICORN = ["--fd", "3", "--proxy-headers", "--forwarded-allow-ips", "*"]


def command(name: str, words: str) -> Process:
    return processes.command(name, words.split(), distributions=LOCKED, tree=TREE)


WEBS = [
    ("gunicorn shop.wsgi -w 2", [f"{BIN}/gunicorn", *GUNICORN, "shop.wsgi", "-w", "2"], True),
    ("gunicorn -c conf.py shop.wsgi", [f"{BIN}/gunicorn", *GUNICORN, "-c", "conf.py", "shop.wsgi"], True),
    ("gunicorn --backlog 5 a", [f"{BIN}/gunicorn", *GUNICORN, "--backlog", "5", "a"], True),
    ("python -m gunicorn shop.wsgi", ["-m", "gunicorn", *GUNICORN, "shop.wsgi"], True),
    ("python3 -u -X dev -m gunicorn a", ["-u", "-X", "dev", "-m", "gunicorn", *GUNICORN, "a"], True),
    ("uvicorn shop.asgi:application", [f"{BIN}/uvicorn", *UVICORN, "shop.asgi:application"], False),
    ("python3.11 -m uvicorn a --http h11", ["-m", "uvicorn", *UVICORN, "a", "--http", "h11"], False),
]


@pytest.mark.parametrize(("words", "argv", "notify"), WEBS)
def test_web_is_a_server_on_the_socket_that_it_inherits(words: str, argv: list[str], notify: bool) -> None:
    assert command("web", words) == Process([PYTHON, *argv], notify=notify)


@pytest.mark.parametrize(
    ("words", "program"),
    [("granian shop.wsgi", [f"{BIN}/granian"]), ("python -m granian shop.wsgi", ["-m", "granian"])],
)
def test_web_makes_a_socket_where_it_is_told_when_it_can_inherit_none(words: str, program: list[str]) -> None:
    argv = [PYTHON, *program, "--uds-permissions", "0660", "shop.wsgi"]
    assert command("web", words) == Process(argv, notify=False, binds="GRANIAN_UDS")


@pytest.mark.parametrize(
    ("version", "known"), [("20.1.0", False), ("25.0.3", False), ("25.1.0", True), ("27.0.1", True), ("100", True)]
)
def test_only_a_gunicorn_with_control_socket_is_told_to_have_none(version: str, known: bool) -> None:
    found = processes.command("web", ["gunicorn", "a"], distributions={"gunicorn": version}, tree=TREE)
    assert ("--no-control-socket" in found.argv) is known


OTHERS = [
    ("python manage.py worker --once", [PYTHON, "manage.py", "worker", "--once"]),
    ("python3 -m shop.worker", [PYTHON, "-m", "shop.worker"]),
    ("celery -A shop worker", [PYTHON, f"{BIN}/celery", "-A", "shop", "worker"]),
    ("gunicorn shop.wsgi -b 127.0.0.1:8001", [PYTHON, f"{BIN}/gunicorn", "shop.wsgi", "-b", "127.0.0.1:8001"]),
    ("python", [PYTHON]),
]


@pytest.mark.parametrize(("words", "argv"), OTHERS)
def test_other_processes_run_as_they_are(words: str, argv: list[str]) -> None:
    assert command("worker", words) == Process(argv, notify=False)


PROGRAMS = "./run.sh bin/start /usr/bin/python3 venv/bin/celery bash sh env exec manage.py start.sh ../x -x .hidden ~/x"


@pytest.mark.parametrize("program", [*PROGRAMS.split(), "", "a b", "celery\n"])
@pytest.mark.parametrize("name", ["web", "worker"])
def test_what_is_neither_python_nor_a_console_script_is_refused(name: str, program: str) -> None:
    with pytest.raises(ContainerlessError, match=f"the process {name} .* is neither python nor a console script"):
        processes.command(name, [program, "x"], distributions=LOCKED, tree=TREE)


SERVERS = ["hypercorn a", "waitress-serve a", "daphne a", "uwsgi", "python manage.py runserver", "python"]


@pytest.mark.parametrize("words", [*SERVERS, "python -m http.server", "python -m", "python -c gunicorn", "python -X"])
def test_web_is_refused_with_the_servers_that_work(words: str) -> None:
    with pytest.raises(ContainerlessError, match="only gunicorn, uvicorn, granian can be given a socket"):
        command("web", words)


@pytest.mark.parametrize(
    ("server", "version", "reason"),
    [
        ("gunicorn", None, "lock file does not hold"),
        ("gunicorn", "19.10.0", "lock gunicorn 20"),
        ("granian", "2.5.7", "lock granian 2.6"),
    ],
)
def test_the_server_is_locked_and_not_too_old(server: str, version: str | None, reason: str) -> None:
    with pytest.raises(ContainerlessError, match=reason):
        processes.command("web", [server], distributions={server: version} if version else {}, tree=TREE)


FLAGS = [
    *(f"gunicorn a {flag}" for flag in ("-b :80", "-b:80", "--bind :80", "--bind=:80", "--bi :80", "-D", "--daemon")),
    *(f"gunicorn a {flag}" for flag in ("--dae", "--reload", "--reload-extra-file x")),
    *(
        f"uvicorn a {flag}"
        for flag in ("--host ::", "--host=::", "--port 80", "--uds x", "--fd 4", "--fd=4", "--reload")
    ),
    "uvicorn a --reload",
    *(f"granian a {flag}" for flag in ("--host ::", "--port 80", "--uds x", "--uds-permissions 0600", "--reload")),
    "python -m gunicorn a -b :80",
    "python -m uvicorn a --port 80",
]


@pytest.mark.parametrize("words", FLAGS)
def test_web_neither_binds_nor_leaves_nor_reloads(words: str) -> None:
    with pytest.raises(ContainerlessError, match=r"the process web gives \w+ the option -\S+; \w"):
        command("web", words)


def test_a_script_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "venv/bin").mkdir(parents=True)
    found = processes.command("worker", ["celery"], distributions={}, tree=str(tmp_path))
    with pytest.raises(ContainerlessError, match="starts 'celery', which is neither"):
        processes.check_installed("worker", found)
    (tmp_path / "venv/bin/celery").touch()
    processes.check_installed("worker", found)
    processes.check_installed("worker", processes.command("w", ["python", "x"], distributions={}, tree=str(tmp_path)))
