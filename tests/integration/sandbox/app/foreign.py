# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another service of the host: listens on TCP, on an abstract and on a path socket, and lets everybody in."""

from __future__ import annotations

import os
import selectors
import socket
import sys

tcp = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0containerless-foreign")
path = socket.socket(socket.AF_UNIX)
path.bind(sys.argv[2])
os.chmod(sys.argv[2], 0o666)
loop = selectors.DefaultSelector()
for listener in (tcp, abstract, path):
    listener.listen()
    loop.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in loop.select():
        key.fileobj.accept()[0].close()
