# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds a wheel from source on the build host: among locked wheels alone, without network, never as root."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .._core.errors import ContainerlessError
from . import runner

_LINES = 15
_HOST = (
    "install its package on the build host (app_build_packages for a throwaway machine, or name another app_build_host)"
)
_REQUIRES = "name it below [tool.containerless.build-requires] in pyproject.toml"
#: What stands in the output of a build that lacks something, and what to do about it.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"fatal error: (?P<what>\S+\.h(?:pp)?): No such file", "the header {what} is missing: " + _HOST),
    (r"(?P<what>(?:\w+[-])*(?:gcc|g\+\+|cc|clang|gfortran))'? failed: No such file", "{what} is missing: " + _HOST),
    (r"Unknown compiler\(s\): (?P<what>.+)", "there is none of the compilers {what}: " + _HOST),
    (r"cannot find -l(?P<what>\S+?):? ", "the library {what} is missing: " + _HOST),
    (r"Dependency \"?(?P<what>[\w.+-]+)\"? not found", "the library {what} is missing: " + _HOST),
    (r"[Pp]ackage '?(?P<what>[\w.+-]+)'?,? .*not found", "the library {what} is missing: " + _HOST),
    (r"[Cc]ould not find (?P<what>[\w.+-]+) (?:lib|header)", "the library {what} is missing: " + _HOST),
    (r"(?P<what>[\w-]+)(?: executable)? not found\b.*", "{what} is missing: " + _HOST),
    (
        r"(?P<what>pg_config|mysql_config|rustc|cargo|cmake|ninja)\b.*(?:not found|No such file)",
        "{what} is missing: " + _HOST,
    ),
    (r"(?:No module named|Cannot import) '(?P<what>[\w.]+)'", "its build needs {what}: " + _REQUIRES),
    (r"No matching distribution found for (?P<what>\S+)", "its build asks for {what} (setup_requires): " + _REQUIRES),
    (
        r"unable to detect version",
        "it takes its version from git, which a build has not: write one into pyproject.toml",
    ),
)


def build(
    commands: runner.Runner,
    *,
    uv: list[str],
    python: str,
    folder: str,
    source: str,
    requirements: str,
    wheels: str,
    what: str,
) -> str:
    """Return the path of the one wheel that is built from `source`.

    `source` is a sdist, or a folder that the runner's user may write into: backends do. `folder` is scratch of that
    user; `requirements` the locked file of what the build needs, `wheels` the folder that holds it; `what` names the
    distribution in errors. Raises with the end of the build's output, and what to change where that can be told.
    """
    env = os.path.join(folder, "env")
    make = ["venv", "--quiet", "--no-project", "--python", python, env]
    commands.run([*uv, *make], f"making the environment that builds {what}")
    sync = ["pip", "sync", "--quiet", "--require-hashes", "--no-build", "--link-mode", "hardlink", "--no-index"]
    sync += ["--find-links", wheels, "--python", f"{env}/bin/python", "--allow-empty-requirements", requirements]
    commands.run([*uv, *sync], f"installing what the build of {what} needs")
    if Path(source).is_file():
        source = _unpack(commands, python, source, commands.own(os.path.join(folder, "source")), what)
    out = commands.own(os.path.join(folder, "out"))
    argv = [*uv, "build", "--wheel", "--offline", "--no-build-isolation", "--no-sources", "--no-create-gitignore"]
    argv += ["--python", f"{env}/bin/python", "--out-dir", out, source]
    status, output = commands.call(argv, cwd=source, env=_environment(commands, env, folder, source))
    if status:
        lines = "\n".join(line for line in output.strip().splitlines() if line.strip())
        end = "\n".join(lines.splitlines()[-_LINES:])
        raise ContainerlessError(f"{what} can't be built from source: {advice(output)}\n{end}")
    found = sorted(Path(out).glob("*.whl"))
    if len(found) != 1:
        raise ContainerlessError(f"the build of {what} left {len(found)} wheels, expected one")
    return str(found[0])


def advice(output: str) -> str:
    """Return what to change so that a build that said this works: the first cause that is known, else where to look."""
    found = [(match.start(), words, match) for shape, words in _ADVICE for match in [re.search(shape, output)] if match]
    if not found:
        return "its build failed; what it said last is below"
    _start, words, match = min(found, key=lambda item: item[0])
    return words.format(**match.groupdict())


def _unpack(commands: runner.Runner, python: str, sdist: str, dest: str, what: str) -> str:
    """Lay a sdist out in a folder whose name is the same each time: compilers write it down."""
    task = f"unpacking the sdist of {what}"
    if sdist.endswith(".zip"):
        commands.run([python, "-I", "-m", "zipfile", "-e", sdist, dest], task)
    else:
        commands.run(["tar", "-x", "--no-same-owner", "--no-same-permissions", "-f", sdist, "-C", dest], task)
    found = sorted(os.listdir(dest))
    if len(found) != 1 or not os.path.isdir(os.path.join(dest, found[0])):
        raise ContainerlessError(
            f"the sdist of {what} does not hold one folder, but {', '.join(found[:3]) or 'nothing'}"
        )
    return os.path.join(dest, found[0])


def _environment(commands: runner.Runner, env: str, folder: str, source: str) -> dict[str, str]:
    # No debugging symbols and no folder of this machine in what a compiler writes (reproducible-builds.org).
    plain = " ".join(f"-ffile-prefix-map={path}=." for path in sorted({source, folder, env}, key=len))
    flags = f"-g0 {plain}"
    return {
        "PATH": f"{env}/bin:{commands.env.get('PATH', runner.PATH)}",
        "VIRTUAL_ENV": env,
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "FFLAGS": flags,
        "RUSTFLAGS": f"--remap-path-prefix={folder}=.",
        "CARGO_NET_OFFLINE": "true",
        "PIP_NO_INDEX": "1",
    }
