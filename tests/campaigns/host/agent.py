# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a virtual machine and does what the host of the campaign says through a virtio port: no login, no network.

A line of JSON each way. {"run": argv, "stdin": text} runs a program to its end; {"open": argv} starts one that is
talked with: the answer is its first line, {"tell": text} gives it a line and answers with its next one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t

PORT = "/dev/virtio-ports/containerless.campaign"
Talk = t.Optional["subprocess.Popen[str]"]


def run(asked: dict[str, t.Any]) -> dict[str, t.Any]:
    done = subprocess.run(asked["run"], input=asked.get("stdin", ""), capture_output=True, text=True, check=False)
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr}


def start(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def line(talk: Talk, told: str = "") -> dict[str, t.Any]:
    """Give a program a line and wait for its next one; an empty one when it ended."""
    if talk is None or talk.stdin is None or talk.stdout is None:
        return {"line": ""}
    if told:
        talk.stdin.write(told + "\n")
    return {"line": talk.stdout.readline()}


def lines(port: t.BinaryIO) -> t.Iterator[bytes]:
    """Return what was said; a port that nobody has opened on the other side is at its end again and again."""
    left = b""
    while True:
        data = port.read(65536)
        if not data:
            time.sleep(0.05)
            continue
        *whole, left = (left + data).split(b"\n")
        yield from whole


def main(path: str = PORT) -> None:
    talk: Talk = None
    with open(path, "r+b", buffering=0) as port:
        for each in lines(port):
            asked = json.loads(each)
            if "run" in asked:
                answer = run(asked)
            elif "open" in asked:
                talk = start(asked["open"])
                answer = line(talk)
            else:
                answer = line(talk, asked["tell"])
            data = json.dumps(answer).encode() + b"\n"
            while data:
                data = data[port.write(data) or 0 :]


if __name__ == "__main__":
    main(*sys.argv[1:])
