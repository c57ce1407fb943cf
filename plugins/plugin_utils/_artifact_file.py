# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One artifact in a file, with its documents, signatures and test records beside it: a store that holds nothing else.

    shop-1.4-debian12.tar.gz
    shop-1.4-debian12.tar.gz.manifest.json
    shop-1.4-debian12.tar.gz.signatures.manifest.0123456789abcdef.sig
    shop-1.4-debian12.tar.gz.records.default-0123456789ab-debian12.json

Its index follows from the manifest, and whatever channel it is asked for names that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..module_utils._artifact import identity
from ..module_utils._core import canonical

with contextlib.suppress(ImportError):  # who opens a store says so
    from obstore.store import LocalStore, MemoryStore

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore

SUFFIXES = (".tar.gz", ".tar.zst")
#: Beside the file stands one of each; the key of a document is <project>/artifacts/<content_id>/<document>.
_LISTED = ("records", "signatures")


def path_of(url: str) -> Path | None:
    """Return the artifact file that an absolute path or a file:// URL names; None for any other store."""
    path = unquote(urlsplit(url).path) if url.startswith("file:///") else url
    path = os.path.expanduser(path)  # noqa: PTH111 - a text that is no path may come in
    return Path(path) if path.startswith("/") and path.endswith(SUFFIXES) else None


class ArtifactFile:
    """The words of a store of obstore that `Store` says."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._folder = LocalStore(prefix=file.parent)

    def head(self, key: str) -> t.Any:
        """Return what is known of an object. Raises FileNotFoundError."""
        backend, name = self._found(key)
        return backend.head(name)

    def get(self, key: str) -> t.Any:
        """Return an object. Raises FileNotFoundError."""
        backend, name = self._found(key)
        return backend.get(name)

    def list(self, prefix: str) -> Iterator[list[dict[str, str]]]:
        """Yield the keys below a prefix: of indexes, test records or signatures."""
        head, _, kind = prefix.rpartition("/")
        if kind == "indexes":
            yield [{"path": key} for key in self._derived(head) if f"/{kind}/" in key]
        elif kind in _LISTED:
            beside = f"{self._beside(prefix)}."
            names = [path.name for path in self.file.parent.iterdir() if path.name.startswith(beside)]
            yield [{"path": f"{prefix}/{name.removeprefix(beside)}"} for name in names]

    def put(self, key: str, source: bytes | Path, **how: t.Any) -> None:
        """Write an object to its place. Raises ValueError for one that has none."""
        name = self._beside(key)
        if not name:
            raise ValueError(f"{self.file.name} holds one artifact and nothing else")
        self._folder.put(name, source, **how)
        for path in (self.file.parent / name, self.file.parent):
            _flush(path)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._folder.delete(self._beside(key))

    def _found(self, key: str) -> tuple[ObjectStore, str]:
        name = self._beside(key)
        if name:
            return self._folder, name
        derived = self._derived(key.partition("/")[0], key).get(key)
        if derived is None:
            raise FileNotFoundError(key)
        memory = MemoryStore()
        memory.put(key, derived)
        return memory, key

    def _beside(self, key: str) -> str:
        """Return the name of the file that an object stands in; empty for what stands in none."""
        _project, kind, *rest = key.split("/")
        if kind == "artifacts" and self._content_id() in ("", rest[0]):
            return ".".join([self.file.name, *rest[1:]])
        if kind == "blobs":
            # The preferred blob comes first, and gets the name; another encoding of the same tar stands beside it.
            own = _sha256(self.file)
            return self.file.name if own in ("", rest[-1]) else f"{self.file.name}.{rest[-1]}"
        return ""

    def _content_id(self) -> str:
        return _sha256(self._manifest)

    @property
    def _manifest(self) -> Path:
        return self.file.with_name(f"{self.file.name}.manifest.json")

    def _derived(self, project: str, asked: str = "") -> dict[str, bytes]:
        """Return index and channel by their keys, once there is a manifest."""
        if not self._manifest.exists():
            return {}
        index = identity.make_index([canonical.loads(self._manifest.read_bytes(), str(self._manifest))])
        index_id = identity.index_id(index)
        found = {f"{project}/indexes/{index_id}.json": canonical.dumps(index)}
        if asked.startswith(f"{project}/channels/"):
            said = {"project": index["project"], "version": index["version"], "index_id": index_id}
            found[asked] = canonical.dumps({"schema": "containerless.channel/v1", **said})
        return found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
