# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in ExecStart= of a process: absolute programs, and for `web` a server on the socket of its release.

Relative arguments (`manage.py`) are relative to <tree>/app, the working directory. The argv is not escaped for
systemd: whoever renders a unit quotes it and doubles % and $.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .._core.errors import ContainerlessError

_PYTHON = re.compile(r"python(3(\.[0-9]+)?)?")
_SCRIPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "env", "exec", "sudo", "nohup", "exit", "cd", "export", "source"})
_OPTIONS_WITH_VALUE = frozenset({"-X", "-W"})
#: Command line options of gunicorn, and since which version.
_MIN_GUNICORN = (20,)
_CONTROL_SOCKET_GUNICORN = (25, 1)
_MIN_GRANIAN = (2, 6)


@dataclass(frozen=True)
class Process:
    """argv of ExecStart=, and whether the program tells systemd when it is ready.

    `binds` is the variable that tells a server which can't inherit a socket where to make one of its own.
    """

    argv: list[str]
    notify: bool
    binds: str = ""


@dataclass(frozen=True)
class _Server:
    notify: bool
    options: t.Callable[[str], list[str]]
    refused: dict[str, str]
    refused_short: dict[str, str]
    binds: str = ""


_BINDS = "the server takes the socket of the release and binds nothing itself"
_TOLD = "it is told where its socket is, behind a proxy"
_STAYS = "systemd watches the process that it started"
_FIXED = "the code of a release never changes"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", text.rpartition("!")[2])[:2])


def _gunicorn(version: str) -> list[str]:
    """Return our options; the socket itself comes with LISTEN_FDS, which goes before any bind of a config file."""
    if _version(version) < _MIN_GUNICORN:
        raise ContainerlessError(f"gunicorn {version} can't tell systemd that it is ready; lock gunicorn 20 or newer")
    # The heartbeat files need a place that can be written to; /tmp is private to the unit.
    options = ["--worker-tmp-dir", "/tmp"]  # noqa: S108
    # Only the proxy can connect to a unix socket, so what it says of the client is true; the socket has no address.
    options += ["--forwarded-allow-ips", "*"]
    if _version(version) >= _CONTROL_SOCKET_GUNICORN:
        options.append("--no-control-socket")
    return options


def _uvicorn(_version: str) -> list[str]:
    # 3 is the first inherited descriptor (sd_listen_fds(3)). Headers of the proxy: as for gunicorn.
    return ["--fd", "3", "--proxy-headers", "--forwarded-allow-ips", "*"]


def _granian(version: str) -> list[str]:
    """Return our options; where its socket is says a variable of its unit."""
    if _version(version) < _MIN_GRANIAN:
        raise ContainerlessError(f"granian {version} can't set the mode of its socket; lock granian 2.6 or newer")
    # The proxy in front of it has the app's group and another user.
    return ["--uds-permissions", "0660"]


_SERVERS = {
    "gunicorn": _Server(
        notify=True,
        options=_gunicorn,
        refused={"--bind": _BINDS, "--daemon": _STAYS, "--reload": _FIXED, "--reload-extra-file": _FIXED},
        refused_short={"-b": _BINDS, "-D": _STAYS},
    ),
    "uvicorn": _Server(
        notify=False,
        options=_uvicorn,
        refused={"--host": _BINDS, "--port": _BINDS, "--uds": _BINDS, "--fd": _BINDS, "--reload": _FIXED},
        refused_short={},
    ),
    # It can't inherit a socket (granian issue 786).
    "granian": _Server(
        notify=False,
        options=_granian,
        refused={"--host": _TOLD, "--port": _TOLD, "--uds": _TOLD, "--uds-permissions": _TOLD, "--reload": _FIXED},
        refused_short={},
        binds="GRANIAN_UDS",
    ),
}


def command(name: str, argv: list[str], *, distributions: dict[str, str], tree: str) -> Process:
    """Return how systemd starts the process `name` of a tree.

    `distributions` holds the version of each locked distribution by its name. Raises ContainerlessError for a program
    that is neither python nor a console script, and for a `web` that is no server which we can give a socket.
    """
    program, rest = _program(name, argv, tree)
    if name != "web":
        return Process([*program, *rest], notify=False)
    server, prefix, options = _server(argv, rest)
    known = _SERVERS.get(server)
    if known is None:
        raise ContainerlessError(f"the process web runs {server!r}; only {', '.join(_SERVERS)} can be given a socket")
    versions = {re.sub(r"[-_.]+", "-", key).lower(): value for key, value in distributions.items()}
    if server not in versions:
        raise ContainerlessError(f"the process web runs {server}, which the lock file does not hold")
    _refuse_options(server, known, options)
    return Process([*program, *prefix, *known.options(versions[server]), *options], known.notify, known.binds)


def check_installed(name: str, process: Process) -> None:
    """Raise when the console script of a process is not in the tree, on the host where the tree stands."""
    python, script = Path(process.argv[0]), Path(*process.argv[1:2])
    if script.parent == python.parent and not script.is_file():
        raise ContainerlessError(
            f"the process {name} starts {script.name!r}, which is neither python nor a console script"
            " of a locked distribution"
        )


def _program(name: str, argv: list[str], tree: str) -> tuple[list[str], list[str]]:
    """Return the absolute program and its arguments."""
    first, *rest = argv
    python = f"{tree}/venv/bin/python"
    if _PYTHON.fullmatch(first):
        return [python], rest
    if _SCRIPT.fullmatch(first) and first not in _SHELLS and not first.endswith((".sh", ".py")):
        # Relocatable scripts are sh and Python at once; started by Python, no shell has to be there.
        return [python, f"{tree}/venv/bin/{first}"], rest
    raise ContainerlessError(
        f"the process {name} starts {first!r}, which is neither python nor a console script of a locked distribution"
    )


def _server(argv: list[str], rest: list[str]) -> tuple[str, list[str], list[str]]:
    """Return the server of a `web`, what stands before its own arguments, and those."""
    if not _PYTHON.fullmatch(argv[0]):
        return argv[0], [], rest
    at = 0
    while at < len(rest) and rest[at].startswith("-") and rest[at] not in ("-m", "-c", "-"):
        at += 2 if rest[at] in _OPTIONS_WITH_VALUE else 1
    if rest[at : at + 1] == ["-m"] and len(rest) > at + 1:
        return rest[at + 1], rest[: at + 2], rest[at + 2 :]
    return " ".join(argv[:2]), [], rest


def _refuse_options(server: str, known: _Server, options: list[str]) -> None:
    for option in options:
        flag = option.partition("=")[0]
        if flag.startswith("--"):
            # argparse also takes the beginning of an option for the whole of it.
            found = [full for full in known.refused if len(flag) > len("--") and full.startswith(flag)]
        else:
            found = [short for short in known.refused_short if option.startswith(short)]
        for full in found[:1]:
            why = {**known.refused, **known.refused_short}[full]
            raise ContainerlessError(f"the process web gives {server} the option {flag}; {why}")
