# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
from pathlib import Path

from ansible_collections.containerless.django.plugins.module_utils._release.probes import listening


def test_a_file_that_nobody_listens_at_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "own.sock")
    assert not listening.is_listening(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert not listening.is_listening(path)
        waiting = threading.Thread(target=listening.main, args=(path,))
        waiting.start()
        server.listen()
        waiting.join(10)
        assert not waiting.is_alive()
