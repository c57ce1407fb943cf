# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What changed from one artifact to another, by their manifests and, where they are known, lists of files. Pure."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

Facts = dict[str, str]

WIDTH = 80
#: Files that are named of each kind; all are counted.
SHOWN = 20
#: Folders of the tree that are told apart; META changes with any of them.
AREAS = ("app", "static", "venv")
_MARKS = (("added", "+"), ("removed", "-"), ("changed", "~"))


class Shelf(t.Protocol):
    """Where artifacts are read from, by content_id."""

    def manifest(self, content_id: str) -> dict[str, t.Any]:
        """Return the manifest."""

    def listing(self, content_id: str) -> Facts | None:
        """Return path and SHA-256 of each file, None when this machine can't read that."""


@dataclass(frozen=True)
class Side:
    """One artifact: its manifest (empty: there is none), and path to SHA-256 of its files where they are known."""

    manifest: dict[str, t.Any]
    listing: Facts | None = None
    content_id: str = ""

    @property
    def title(self) -> str:
        """How a person tells it from others."""
        if not self.manifest:
            return "nothing"
        return f"{self.manifest['version']}" + (f" ({self.content_id[:12]})" if self.content_id else "")


class Change(t.NamedTuple):
    """One name of a section: what it was and what it is, None where it is not there."""

    name: str
    old: str | None
    new: str | None

    @property
    def kind(self) -> str:
        """One of added, removed and changed."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"


Section = tuple[Change, ...]


@dataclass(frozen=True)
class Difference:
    """All changes by section. `files` is None when a list of files is not known."""

    old: str
    new: str
    sections: dict[str, Section]
    files: dict[str, Section] | None

    def __bool__(self) -> bool:
        return any(self.sections.values()) or any((self.files or {}).values())

    def as_dict(self, shown: int = SHOWN) -> dict[str, t.Any]:
        """Return what a result holds: of each section what was added, removed and changed; `shown` names of files."""
        return {
            "old": self.old,
            "new": self.new,
            "same": not self,
            **{name: _told(section) for name, section in self.sections.items()},
            "files": None
            if self.files is None
            else {area: _counted(section, shown) for area, section in self.files.items()},
        }

    def text(self, shown: int = SHOWN) -> str:
        """Return a list for a person, at most 80 columns wide; empty when nothing changed."""
        if not self:
            return ""
        lines = [f"{self.old} -> {self.new}"]
        for name, section in self.sections.items():
            lines += _titled(name, section, [line for change in section for line in _lines(change)])
        for area, section in (self.files or {}).items():
            listed = [line for kind, mark in _MARKS for line in _names(_of(section, kind), mark, shown)]
            lines += _titled(f"{area} files", section, listed)
        if self.files is None:
            lines.append("files: not compared")
        return "".join(f"{line}\n" for line in lines)


def compare(old: Side, new: Side) -> Difference:
    """Return what changed from `old` to `new`."""
    both = (old.manifest, new.manifest)
    known = old.listing is not None and new.listing is not None
    return Difference(
        old=old.title,
        new=new.title,
        sections={
            "artifact": _changes(*map(_artifact, both)),
            "distributions": _distributions(*both),
            "migrations": _changes(*map(_migrations, both)),
            "settings": _changes(*map(_settings, both)),
            "processes": _changes(*map(_processes, both)),
            "timers": _changes(*map(_timers, both)),
        },
        files={area: _changes(*(_below(area, side.listing) for side in (old, new))) for area in AREAS}
        if known
        else None,
    )


def artifacts(shelf: Shelf, old: str | None, new: str) -> Difference:
    """Return what changed from one artifact of a store to another; an `old` of None is no artifact at all."""
    before = Side({}, {}) if old is None else Side(shelf.manifest(old), shelf.listing(old), old)
    return compare(before, Side(shelf.manifest(new), shelf.listing(new), new))


def _changes(old: Facts, new: Facts) -> Section:
    names = sorted(old.keys() | new.keys())
    return tuple(Change(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))


def _artifact(manifest: dict[str, t.Any]) -> Facts:
    if not manifest:
        return {}
    python, platform, lock = manifest["python"], manifest["platform"], manifest["lock"]
    facts = {
        "commit": manifest["source"]["commit"] + (", dirty" if manifest["source"]["dirty"] else ""),
        "lock": f"{lock['kind']} {lock['sha256'][:12]}",
        "platform": f"{platform['machine']} {platform['libc']} {platform['libc_min']}",
        "python": f"{python['version']} {python['soabi']}",
        "version": manifest["version"],
    }
    django = manifest["django"]
    if django:
        facts["settings module"] = django["settings_module"]
    return facts


def _distributions(old: dict[str, t.Any], new: dict[str, t.Any]) -> Section:
    """Compare versions, and of equal versions the wheels; a plan knows no wheels yet."""
    befores, afters = ({item["name"]: item for item in side.get("distributions", ())} for side in (old, new))
    found = []
    for name in sorted(befores.keys() | afters.keys()):
        before, after = befores.get(name), afters.get(name)
        if before is None or after is None or before["version"] != after["version"]:
            found.append(Change(name, before and before["version"], after and after["version"]))
        elif before["sha256"] and after["sha256"] and before["sha256"] != after["sha256"]:
            found.append(Change(name, _wheel(before), _wheel(after)))
    return tuple(found)


def _wheel(item: dict[str, t.Any]) -> str:
    return f"{item['version']} ({item['file']} {item['sha256'][:12]})"


def _migrations(manifest: dict[str, t.Any]) -> Facts:
    migrations = (manifest.get("django") or {}).get("migrations", ())
    return {f"{item['app']}.{item['name']}": item["class"] for item in migrations}


def _settings(manifest: dict[str, t.Any]) -> Facts:
    return dict.fromkeys((manifest.get("django") or {}).get("settings", ()), "set")


def _processes(manifest: dict[str, t.Any]) -> Facts:
    return {name: shlex.join(argv) for name, argv in manifest.get("processes", {}).items()}


def _timers(manifest: dict[str, t.Any]) -> Facts:
    timers = manifest.get("timers", {})
    return {name: f"{timer['schedule']}: {shlex.join(timer['argv'])}" for name, timer in timers.items()}


def _below(area: str, listing: Facts | None) -> Facts:
    return {path: sha256 for path, sha256 in (listing or {}).items() if path.startswith(f"{area}/")}


def _of(section: Section, kind: str) -> list[Change]:
    return [change for change in section if change.kind == kind]


def _told(section: Section) -> dict[str, t.Any]:
    return {
        "added": {change.name: change.new for change in _of(section, "added")},
        "removed": {change.name: change.old for change in _of(section, "removed")},
        "changed": {change.name: {"old": change.old, "new": change.new} for change in _of(section, "changed")},
    }


def _counted(section: Section, shown: int) -> dict[str, t.Any]:
    found = {kind: _of(section, kind) for kind, _mark in _MARKS}
    return {kind: {"count": len(some), "names": _sorted(some)[:shown]} for kind, some in found.items()}


def _sorted(changes: list[Change]) -> list[str]:
    """Return the names, bytecode last: it follows its source."""
    return sorted((change.name for change in changes), key=lambda name: (name.endswith(".pyc"), name))


def _titled(title: str, section: Section, lines: list[str]) -> list[str]:
    counts = [f"{len(_of(section, kind))} {kind}" for kind, _mark in _MARKS if _of(section, kind)]
    return [f"{title}: {', '.join(counts)}", *lines] if counts else []


def _lines(change: Change) -> list[str]:
    """Return one line, or three where old and new don't fit beside each other."""
    mark = dict(_MARKS)[change.kind]
    if change.kind != "changed":
        value = change.old if change.new is None else change.new
        return [_fit(f"  {mark} {change.name}" + (f": {value}" if value != "set" else ""))]
    line = f"  {mark} {change.name}: {change.old} -> {change.new}"
    if len(line) <= WIDTH:
        return [line]
    return [_fit(part) for part in (f"  {mark} {change.name}:", f"      {change.old}", f"   -> {change.new}")]


def _names(changes: list[Change], mark: str, shown: int) -> list[str]:
    listed = _sorted(changes)
    lines = [f"  {mark} {_tail(name, WIDTH - 4)}" for name in listed[:shown]]
    return [*lines, f"  {mark} and {len(listed) - shown} more"] if len(listed) > shown else lines


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _tail(name: str, width: int) -> str:
    """Cut a path at its start: its end says more."""
    return name if len(name) <= width else f"...{name[3 - width :]}"
