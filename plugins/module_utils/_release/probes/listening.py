# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until somebody listens at a unix socket: a server may make the file long before it does. Argument: its path.

One file of the standard library, run by the host's own Python.
"""

from __future__ import annotations

import socket
import sys
import time

_PAUSE = 0.05


def is_listening(path: str) -> bool:
    """Say whether a connection is taken; it asks for nothing."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(1)
        try:
            peer.connect(path)
        except OSError:
            return False
    return True


def main(path: str) -> None:
    while not is_listening(path):
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main(sys.argv[1])
