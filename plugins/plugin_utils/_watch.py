# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches a file of a host while a module runs there: a module says nothing before it ends, and builds take a while."""

from __future__ import annotations

import shlex
import threading
import typing as t

if t.TYPE_CHECKING:
    from types import TracebackType

#: Seconds between two looks: what is over sooner needs no line.
PAUSE = 1.0
#: Looks in vain before it gives up: no line of progress is worth a broken run.
PATIENCE = 5


class Watch:
    """Tells `say` each new line of a file, until the block ends. `read` returns the file's bytes, or raises."""

    def __init__(self, read: t.Callable[[], bytes], say: t.Callable[[str], None], pause: float = PAUSE) -> None:
        self._read, self._say, self._pause = read, say, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        last, vain = "", 0
        while not self._over.wait(self._pause) and vain < PATIENCE:
            try:
                line = self._read().decode("utf-8", "replace").strip()
            except Exception:  # noqa: BLE001 - whatever the connection raises, the module will meet it too
                vain += 1
                continue
            if line and line != last and not self._over.is_set():
                last = line
                self._say(line)


def reader(connection: t.Any, path: str) -> t.Callable[[], bytes]:
    """Return what reads a file over a connection of Ansible's; each call is a command of its own."""

    def read() -> bytes:
        status, output, _error = connection.exec_command(f"cat {shlex.quote(path)}", in_data=None, sudoable=False)
        return bytes(output) if status == 0 else b""

    return read
