# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the repository's own environment under .cache and runs a command in it (any Python 3.9+, stdlib only)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
# Controllers of ansible-core 2.21; the first one is what .python-version asks for.
CONTROLLER_PYTHONS = ("3.13", "3.12", "3.14")
OLDEST_TARGET_PYTHON = "3.9"
# A socket path has 107 bytes, of which ssh's control sockets need some 45.
LONGEST_SOCKET_FOLDER = 60


def say(sentence: str) -> None:
    print(f"tools: {sentence}", file=sys.stderr, flush=True)


def stop(sentence: str) -> NoReturn:
    sys.exit(f"tools: {sentence}")


def ask(argv: list[str]) -> str:
    """Return what a command prints; nothing when it does not start, fails or hangs (minutes: it may be fetching)."""
    try:
        answer = subprocess.run(
            argv, env=environment(os.environ), capture_output=True, text=True, timeout=300, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def runs_version(python: Path, wanted: str) -> bool:
    """Ask the interpreter itself: a pyenv shim exists for versions that it then refuses to start."""
    code = "import ssl, sys; print('%d.%d' % sys.version_info[:2])"
    return ask([str(python), "-I", "-c", code]) == wanted


def python_candidates(wanted: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield where pyenv keeps a version (also when only its shims are on PATH), then what PATH offers."""
    folders = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry]
    roots = [Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")]
    roots += [folder.parent for folder in folders if folder.name == "shims"]
    for root in dict.fromkeys(roots):
        yield from sorted((root / "versions").glob(f"{wanted}.*/bin/python{wanted}"), reverse=True)
    for folder in folders:
        yield from (path for path in (folder / f"python{wanted}", folder / "python3") if path.is_file())


def find_python(versions: Iterable[str], environ: Mapping[str, str]) -> Path | None:
    found = (path for wanted in versions for path in python_candidates(wanted, environ) if runs_version(path, wanted))
    return next(found, None)


def pinned_block(requirements: str, name: str) -> str:
    """Return one distribution's line of a requirements file together with its hashes."""
    block = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*$", requirements, re.MULTILINE)
    if block is None:
        stop(f"requirements/tools.txt does not name {name}; run `make lock`.")
    return block.group() + "\n"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def find_uv() -> Path:
    """Take uv from PATH when it is not older than the pinned one, else install the pinned one into the cache."""
    pin = pinned_block((ROOT / "requirements/tools.txt").read_text(encoding="utf-8"), "uv")
    own = CACHE / "uv"
    for candidate in (shutil.which("uv"), own / "bin/uv"):
        if candidate and numbers(ask([str(candidate), "--version"])) >= numbers(pin):
            return Path(candidate)
    say("installing uv into .cache/uv (from PyPI)")
    pin_file = CACHE / "uv.txt"
    pin_file.write_text(pin, encoding="utf-8")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(own)], capture_output=True, check=False)
    if made.returncode != 0:
        stop(f"install uv, or the venv module of {sys.executable} (Debian: python3-venv).")
    run([str(own / "bin/python"), "-m", "pip", "install", "-qq", "--require-hashes", "-r", str(pin_file)])
    return own / "bin/uv"


def run(argv: list[str]) -> None:
    if subprocess.run(argv, env=environment(os.environ), check=False).returncode != 0:
        stop(f"`{' '.join(argv[:3])} …` failed; its message stands above.")


def fetched_python(uv: Path) -> Path:
    """Let uv bring a Python where the network allows it."""
    wanted = CONTROLLER_PYTHONS[0]
    say(f"no Python {' or '.join(sorted(CONTROLLER_PYTHONS))} found here; asking uv for {wanted}")
    ask([str(uv), "python", "install", wanted])
    found = ask([str(uv), "python", "find", "--managed-python", wanted])
    if not found:
        stop(f"install Python {wanted} (for example with pyenv): none is here and uv could not fetch it.")
    return Path(found)


def is_made(name: str) -> bool:
    stamp = CACHE / name / ".made-from"
    starts = os.access(CACHE / name / "bin/python", os.X_OK)
    return starts and stamp.is_file() and stamp.read_text(encoding="utf-8") == stamp_of(name)


def stamp_of(name: str) -> str:
    """Return what an environment depends on: its pins, and its folder, since scripts name their interpreter's path."""
    pins = (ROOT / f"requirements/{name}.txt").read_bytes()
    return hashlib.sha256(pins + str(CACHE / name).encode()).hexdigest()


def make_environment(name: str, uv: Path, python: Path) -> None:
    """Bring .cache/NAME to exactly what requirements/NAME.txt says."""
    folder, requirements = CACHE / name, ROOT / f"requirements/{name}.txt"
    say(f"installing requirements/{name}.txt into .cache/{name} (from PyPI, with {python})")
    own = ["--quiet", "--python"]
    run([str(uv), "venv", "--clear", *own, str(python), str(folder)])
    run([str(uv), "pip", "sync", "--require-hashes", *own, str(folder / "bin/python"), str(requirements)])
    (folder / ".made-from").write_text(stamp_of(name), encoding="utf-8")


def make_environments() -> None:
    """Make the tools' environment, and one on the oldest target Python where this machine has it."""
    if not is_made("tools"):
        uv = find_uv()
        make_environment("tools", uv, find_python(CONTROLLER_PYTHONS, os.environ) or fetched_python(uv))
    if not is_made("py39"):
        oldest = find_python([OLDEST_TARGET_PYTHON], os.environ)
        if oldest:
            make_environment("py39", CACHE / "tools/bin/uv", oldest)


def link_collection() -> None:
    """Let Ansible and Python find this checkout as containerless.django, wherever it is."""
    link = CACHE / "collections/ansible_collections/containerless/django"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(ROOT, link.parent), target_is_directory=True)


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that every tool runs with: nothing of the user's own Ansible can shadow this checkout."""
    home = CACHE / "ansible"
    env = {key: value for key, value in base.items() if not key.startswith(("ANSIBLE_", "MOLECULE_", "PYTHONHOME"))}
    env |= {
        "PATH": os.pathsep.join([str(CACHE / "tools/bin"), base.get("PATH", os.defpath), "/usr/sbin", "/sbin"]),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(ROOT / ".config/ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections"),
        "PYTHONPATH": str(CACHE / "collections"),
        # Certificates that the machine's owner trusts count for uv as well.
        "UV_SYSTEM_CERTS": "true",
    }
    if len(str(home)) > LONGEST_SOCKET_FOLDER:
        env["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(Path(base.get("HOME", "/")) / ".ansible/cp")
    return env


def bootstrap() -> None:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        link_collection()
        make_environments()


def main(argv: list[str]) -> None:
    bootstrap()
    if argv:
        os.execvpe(argv[0], argv, environment(os.environ))  # noqa: S606 - no shell is what we want


if __name__ == "__main__":
    main(sys.argv[1:])
