# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows that the rig works: one machine, two releases, a rollback, each asked through nginx."""

from __future__ import annotations

import time

from . import Load, Rig, summary
from .load import Ask


def main() -> None:
    begin = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {what}", flush=True)

    with Rig("smoke") as rig:
        host = rig.hosts[0]
        say(f"machine: {' '.join(host.ssh)}")
        rig.publish("v1")
        say("v1 is published")
        first = rig.release("v1").check()
        say(f"v1: {first.seconds:.1f} s, {first.recap['rig1']}")
        with Load(host.address, rate=20, asks=(Ask(), Ask("/count/", "POST"), Ask("/page/"))) as load:
            time.sleep(2)
            second = rig.release("v1", env={"RIG_COLOUR": "red"}).check()
            say(f"another colour: {second.seconds:.1f} s")
            back = rig.rollback().check()
            say(f"rollback: {back.seconds:.1f} s")
        for name, window in (("all", (load.samples[0].due, back.ended)), ("rollback", (back.started, back.ended))):
            say(f"{name}: {summary(load.samples, *window)}")
        say(host.sh("containerless status rig").stdout.strip())
        assert not load.failed(), load.failed()[:3]
        rig.remove(data=True).check()
    say("the machine is gone")


if __name__ == "__main__":
    main()
