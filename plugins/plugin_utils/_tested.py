# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which test record of an artifact counts: of its bytes, configuration class and system, not expired, and signed."""

from __future__ import annotations

import datetime as dt
import typing as t
from dataclasses import dataclass

from ..module_utils._core import canonical
from ..module_utils._core.errors import ContainerlessError
from . import _keys, _signing

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._repository import Document, Repository

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_INSTEAD = "or say why not with app_release_untested_reason"
#: Of a sandbox, what may differ from host to host.
_OF_A_HOST = ("limits", "media", "unenforced")
#: A thorough test is a test as well.
_LEVELS = {"default": ("default", "full"), "full": ("full",)}


def config_class(config: Mapping[str, t.Any]) -> str:
    """Return 12 hex digits of what decides about a test, of a configuration in its normal form.

    That is what may be missing and what is closed: names of variables and secrets, how secrets are given, the settings,
    the sandbox without its limits, who reads media and what a host can't hold, processes that do not run, and those
    with a user of their own. Values, host names, names of users and numbers are an environment's own.
    """
    counts: dict[str, t.Any] = {
        "env": sorted(config["env"]),
        "settings": config["env"].get("DJANGO_SETTINGS_MODULE", ""),
        "secrets": sorted(config["secrets"]),
        "secrets_as": config["secrets_as"],
        "sandbox": {name: value for name, value in config["sandbox"].items() if name not in _OF_A_HOST},
        "users": sorted(config.get("users", {})),
        "off": sorted(name for name, number in config.get("scale", {}).items() if number == 0),
    }
    return canonical.digest(counts)[:12]


def now() -> str:
    """Return the time as records have it."""
    return dt.datetime.now(dt.UTC).strftime(_FORMAT)


def later(time: str, days: int) -> str:
    """Return the time so many days after another."""
    return (dt.datetime.strptime(time, _FORMAT).replace(tzinfo=dt.UTC) + dt.timedelta(days=days)).strftime(_FORMAT)


def untested(repository: Repository, index_id: str, level: str, time: str) -> list[str]:
    """Return the artifacts of an index without a record of a level that counts now, for whatever configuration."""
    variants = repository.index(index_id)["variants"]
    return [
        variant["content_id"]
        for variant in variants
        if not list(_passed(repository, variant["content_id"], level, time))
    ]


def check_any(source: Repository, content_id: str, level: str, signers: Sequence[str], time: str) -> None:
    """Raise unless a record of a level that counts now is signed by somebody whom `signers` allow."""
    refused: ContainerlessError | None = None
    for name in _passed(source, content_id, level, time):
        try:
            _signing.check_record(source, content_id, name, signers)
        except ContainerlessError as exc:
            refused = exc
        else:
            return
    if refused:
        raise refused


def _passed(repository: Repository, content_id: str, level: str, time: str) -> Iterator[str]:
    for name, record in repository.records(content_id).items():
        if record["level"] in _LEVELS[level] and record["passed"] and time < record["expires"]:
            yield name


@dataclass(frozen=True)
class Wanted:
    """What a record has to be about: `level` or a more thorough one, a class of configurations, a system (debian12)."""

    level: str
    config_class: str
    platform: str

    def names(self) -> list[str]:
        """Return the names of the records that are about this."""
        return [_keys.record_name(level, self.config_class, self.platform) for level in _LEVELS[self.level]]


def counting(repository: Repository, content_id: str, wanted: Wanted, *, signers: Sequence[str], time: str) -> Document:
    """Return the record of an artifact that counts. Raises with what is wrong with the first one when none does.

    One that does not count must not stand before one that does: anybody may have put it there.
    """
    refused: list[ContainerlessError] = []
    records: list[tuple[str, Document]] = []
    for name in wanted.names():
        try:
            record = repository.record(content_id, name)
        except ContainerlessError as exc:
            refused.append(exc)
        else:
            records += [(name, record)] if record is not None else []
    if not records and not refused:
        raise ContainerlessError(_missing(repository, content_id, wanted))
    for name, record in sorted(records, key=lambda item: str(item[1]["expires"]), reverse=True):
        try:
            _require(repository, name, record, signers, time)
        except ContainerlessError as exc:
            refused.append(exc)
        else:
            return record
    raise refused[0]


def _require(repository: Repository, name: str, record: Document, signers: Sequence[str], time: str) -> None:
    content_id = record["content_id"]
    if not record["passed"]:
        raise ContainerlessError(f"artifact {content_id[:12]} failed its test; run the test playbook, {_INSTEAD}")
    if signers:
        _signing.check_record(repository, content_id, name, signers)
    if record["expires"] <= time:
        raise ContainerlessError(
            f"the test record of artifact {content_id[:12]} expired at {record['expires']}; run the test playbook"
            f" again, {_INSTEAD}"
        )


def _missing(repository: Repository, content_id: str, wanted: Wanted) -> str:
    records = [record for record in repository.records(content_id).values() if record["level"] in _LEVELS[wanted.level]]
    if not records:
        return f"artifact {content_id[:12]} has no test record; run the test playbook, {_INSTEAD}"
    systems = {record["machine"]["image"] for record in records if record["config_class"] == wanted.config_class}
    if systems:
        return (
            f"artifact {content_id[:12]} was tested on {', '.join(sorted(systems))}, and this host is"
            f" {wanted.platform}; run the test playbook with a host like this one in app_test_hosts, {_INSTEAD}"
        )
    classes = ", ".join(sorted({record["config_class"] for record in records}))
    return (
        f"artifact {content_id[:12]} was tested with another configuration (class {classes}, this one is"
        f" {wanted.config_class}): names of variables or secrets, settings or sandbox differ; run the test playbook"
        f" with this inventory, {_INSTEAD}"
    )


def differs(record: Document, host: Mapping[str, t.Any]) -> str:
    """Return in which way a host of the same system differs from the machine of the test; empty when it does not."""
    tested, here = record["machine"]["systemd"], host["systemd"]
    if tested == here:
        return ""
    return f"artifact {record['content_id'][:12]} was tested with systemd {tested}, this host has systemd {here}"
