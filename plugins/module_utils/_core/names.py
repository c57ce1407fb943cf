# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounds of every name that we make, and the places on a host. Pure: nothing here touches a disk.

Limits come from sun_path (unix(7): 108 bytes with the final NUL), user names (useradd(8): 32 characters) and
unit names (systemd.unit(5): 255 characters). App and process names hold no dash, so a name joined by dashes
can be taken apart again and never equals another app's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import ContainerlessError

PREFIX = "containerless"
USER_PREFIX = "cl-"
SHARED_PREFIX = "clsh-"
APP_NAME = r"[a-z][a-z0-9_]{0,23}"
PROCESS_NAME = r"[a-z][a-z0-9_]{0,23}"
TASK_NAME = r"[a-z][a-z0-9_]{0,31}"  # healthy_<process>
VERSION = r"[0-9A-Za-z][0-9A-Za-z._]{0,47}"
DIGEST = r"[0-9a-f]{64}"
RELEASE_ID = VERSION + r"-[0-9a-f]{12}"
ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
MAX_ACTIVATION = 999_999
MAX_INSTANCES = 64
MAX_SOCKET_PATH = 107
MAX_UNIT_NAME = 255


def _checked(pattern: str, value: str, message: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ContainerlessError(message)
    return value


def check_app_name(value: str) -> str:
    """Return the name, or raise with the bound: a lower-case letter, then up to 23 of a-z, 0-9 and _."""
    return _checked(
        APP_NAME, value, f"app_name {value!r} must be a lower-case letter followed by at most 23 of a-z, 0-9 and _"
    )


def check_process_name(value: str) -> str:
    """Return the name of a process or timer, or raise with the bound."""
    return _checked(
        PROCESS_NAME,
        value,
        f"the name {value!r} of a process or timer must be a lower-case letter followed by at most 23 of a-z, 0-9"
        " and _",
    )


def check_version(value: str) -> str:
    """Return the version, or raise: up to 48 letters, digits, dots and underscores; a dash ends it in a release id."""
    return _checked(
        VERSION,
        value,
        f"version {value!r} must be at most 48 letters, digits, dots and underscores (app_build_version)",
    )


def check_digest(value: str, what: str) -> str:
    """Return a SHA-256 in hex, or raise naming `what`."""
    return _checked(DIGEST, value, f"{what} {value!r} is not a SHA-256 digest (64 lower-case hex digits)")


def check_release_id(value: str) -> str:
    """Return the release id, or raise."""
    return _checked(RELEASE_ID, value, f"release {value!r} is not a release id such as 1.0.0.g1a2b3c4d-0123456789ab")


def check_activation(value: int) -> int:
    """Return the activation number, or raise outside 1..999999."""
    if not 1 <= value <= MAX_ACTIVATION:
        raise ContainerlessError(f"activation {value} is outside 1..{MAX_ACTIVATION}")
    return value


def check_instance(value: int) -> int:
    """Return the number of an instance of a process, or raise outside 1..64."""
    if not 1 <= value <= MAX_INSTANCES:
        raise ContainerlessError(f"instance {value} of a process is outside 1..{MAX_INSTANCES}")
    return value


@dataclass(frozen=True)
class Layout:
    """Every path and unit of one app on a host. `root` is only set by tests."""

    app: str
    root: str = ""

    def __post_init__(self) -> None:
        check_app_name(self.app)

    def _at(self, *parts: str) -> str:
        return self.root + "/" + "/".join(parts)

    # Code and static files: root owned, read-only to the app.
    @property
    def srv(self) -> str:
        return self._at("srv", PREFIX, self.app)

    @property
    def trees(self) -> str:
        return f"{self.srv}/trees"

    def tree(self, content_id: str) -> str:
        return f"{self.trees}/{check_digest(content_id, 'content_id')}"

    @property
    def static(self) -> str:
        """Static files of all releases of this host, for the proxy: an old page finds its files after a flip."""
        return f"{self.srv}/static"

    def served(self, content_id: str) -> str:
        """What an app that serves its static files itself has as STATIC_ROOT: its own and those of kept releases."""
        return f"{self.srv}/served/{check_digest(content_id, 'content_id')}"

    @property
    def current(self) -> str:
        return f"{self.srv}/current"

    # Configuration: a folder per release, secrets apart.
    @property
    def etc(self) -> str:
        return self._at("etc", PREFIX, self.app)

    def release(self, release_id: str) -> str:
        return f"{self.etc}/{check_release_id(release_id)}"

    @property
    def secrets(self) -> str:
        """Values of the secrets that are live, for rollbacks and boots."""
        return f"{self.etc}/secrets"

    @property
    def next_secrets(self) -> str:
        """Values of the secrets of what is under way, for a power cut that empties /run before they are live."""
        return f"{self.etc}/secrets.next"

    def snapshot(self, release_id: str) -> str:
        """Values of the secrets that a release was good with; read by a rollback that asks for them."""
        return f"{self.etc}/snapshots/{check_release_id(release_id)}"

    def activation_secrets(self, activation: int) -> str:
        """Values of the secrets of one activation: what its units read."""
        return f"{self.activation_run(activation)}/secrets"

    def activation_answer(self, activation: int) -> str:
        """Where the task that reads the applied migrations writes its answer."""
        return f"{self.activation_run(activation)}/applied.json"

    # State: ours beside the app's own.
    @property
    def var(self) -> str:
        return self._at("var/lib", PREFIX, self.app)

    @property
    def data(self) -> str:
        return f"{self.var}/data"

    @property
    def state_directory(self) -> str:
        """The value of StateDirectory=, relative to /var/lib."""
        return f"{PREFIX}/{self.app}/data"

    @property
    def users(self) -> str:
        """Where processes that have a user of their own have their state, each in a folder of its user's name."""
        return f"{self.var}/users"

    def own_data(self, user: str) -> str:
        return f"{self.users}/{user}"

    def own_state_directory(self, user: str) -> str:
        return f"{PREFIX}/{self.app}/users/{user}"

    @property
    def shared(self) -> str:
        """What processes of several users share."""
        return f"{self.var}/shared"

    @property
    def ledger(self) -> str:
        return f"{self.var}/ledger.jsonl"

    @property
    def active(self) -> str:
        return f"{self.var}/active"

    @property
    def origin(self) -> str:
        """A second name of what `active` was before the commit: going back takes no space on a full disk."""
        return f"{self.var}/active.origin"

    @property
    def journal(self) -> str:
        return f"{self.var}/journal"

    @property
    def host_options(self) -> str:
        """What is chosen for this host alone, beside any release: whether timers run here, and what is pinned."""
        return f"{self.var}/host"

    @property
    def lock(self) -> str:
        return f"{self.var}/lock"

    # Run time: rebuilt at boot.
    @property
    def run(self) -> str:
        return self._at("run", PREFIX, self.app)

    @property
    def web_socket(self) -> str:
        return f"{self.run}/web.sock"

    @property
    def previous_socket(self) -> str:
        """Link to the socket of the release before as long as it answers: a proxy's backup server."""
        return f"{self.run}/previous.sock"

    def activation_run(self, activation: int) -> str:
        return f"{self.run}/{check_activation(activation)}"

    def activation_socket(self, activation: int) -> str:
        return f"{self.activation_run(activation)}/web.sock"

    @property
    def units(self) -> str:
        return self._at("run/systemd/system")

    @property
    def transient(self) -> str:
        """Where systemd keeps the text of what systemd-run(1) made."""
        return self._at("run/systemd/transient")

    @property
    def boot_unit_file(self) -> str:
        return self._at("etc/systemd/system", self.boot_unit)

    @property
    def sent(self) -> str:
        """How the path of an artifact begins that is on its way to the process that reads it; the rest is by chance."""
        return self._at("tmp", f"{PREFIX}-{self.app}-")

    @property
    def tools(self) -> str:
        return self._at("usr/local/lib", PREFIX)

    @property
    def command(self) -> str:
        return self._at("usr/local/bin", PREFIX)

    # Names.
    @property
    def user(self) -> str:
        return USER_PREFIX + self.app

    @property
    def owner(self) -> str:
        """What stands in the place for a person's name (GECOS) of users that we make: by it we know them again."""
        return f"{PREFIX} {self.app}"

    @property
    def shared_group(self) -> str:
        """Whose members write to `shared`: not the group of the app's user, who may read its state."""
        return SHARED_PREFIX + self.app

    @property
    def boot_unit(self) -> str:
        return f"{PREFIX}-{self.app}.service"

    @property
    def slice(self) -> str:
        return f"{PREFIX}-{self.app}.slice"

    def template_unit(self, process: str, kind: str = "service", instance: int = 1) -> str:
        """Name of the unit template of a process, as it stands in a release's folder; the dot ends a process name."""
        number = f".{check_instance(instance)}" if instance > 1 else ""
        return f"{PREFIX}-{self.app}-{check_process_name(process)}{number}@.{kind}"

    def unit(self, process: str, activation: int, kind: str = "service", instance: int = 1) -> str:
        """Name of the unit of a process in an activation."""
        return _instantiated(self.template_unit(process, kind, instance), activation)

    def template_task(self, task: str) -> str:
        """Name of the unit template of a one-off task of ours; the dot keeps it apart from every process name."""
        return f"{PREFIX}-{self.app}-task.{_checked(TASK_NAME, task, f'{task!r} is no name of a task')}@.service"

    def task(self, task: str, activation: int) -> str:
        """Name of the unit of a one-off task in an activation."""
        return _instantiated(self.template_task(task), activation)

    def template_timer(self, timer: str, kind: str = "timer") -> str:
        """Name of the unit template of a timer (`timer`) or of what it starts (`service`)."""
        return f"{PREFIX}-{self.app}-timer.{check_process_name(timer)}@.{kind}"

    def timer(self, timer: str, activation: int, kind: str = "timer") -> str:
        """Name of the unit of a timer in an activation."""
        return _instantiated(self.template_timer(timer, kind), activation)

    def template_proxy(self, instance: int = 1) -> str:
        """Name of the unit template between a release's socket and the one that an instance of its server makes.

        It begins as those of web do: what is stopped, drained or killed with web is known by that.
        """
        number = str(check_instance(instance)) if instance > 1 else ""
        return f"{PREFIX}-{self.app}-web.proxy{number}@.service"

    def template_egress(self, part: str, kind: str = "service") -> str:
        """Name of the unit template of an activation's own network (`net`) or of a peer in it (`peer1`, ...).

        The dot keeps it apart from every process name, the letter after it from an instance.
        """
        return f"{PREFIX}-{self.app}-egress.{check_process_name(part)}@.{kind}"

    def listen(self, kind: str) -> str:
        """Name of the unit that takes TCP connections for web.sock: one per app, whatever is active."""
        return f"{PREFIX}-{self.app}-listen.{kind}"

    @property
    def deadman(self) -> str:
        """Name, without its kind, of the transient timer that takes back what nobody confirms."""
        return f"{PREFIX}-{self.app}-deadman"

    @property
    def gate(self) -> str:
        """Name, without its kind, of the transient service that web starts after: while it starts, no request does."""
        return f"{PREFIX}-{self.app}-gate"

    def drainer(self, activation: int) -> str:
        """Name, without its kind, of the transient timer that ends an activation which is no longer live."""
        return f"{PREFIX}-{self.app}-drain-{check_activation(activation)}"


def _instantiated(template: str, activation: int) -> str:
    return template.replace("@.", f"@{check_activation(activation)}.", 1)
