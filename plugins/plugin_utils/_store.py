# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects under keys, put once: a folder, a bucket, a WebDAV server or one artifact file behind one URL.

A store may ignore conditional writes and still report success, so a put looks before and reads again after.
Whoever reads verifies what was read: a store is never trusted.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import typing as t
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..module_utils._core.canonical import sha256
from ..module_utils._core.errors import ContainerlessError
from . import _artifact_file

try:
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
    from obstore.store import LocalStore, MemoryStore, from_url

    HAS_OBSTORE = True
except ImportError:
    HAS_OBSTORE = False

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore

SCHEMES = ("file", "s3", "gs", "az", "https")
CHUNK = 1 << 20


class Put(enum.Enum):
    """What became of an object that is written once."""

    CREATED = "created"
    SAME = "same"
    CONFLICT = "conflict"


class Missing(enum.Enum):
    """What a local folder that does not exist yet means."""

    REFUSE = "refuse"
    CREATE = "create"
    EMPTY = "empty"  # for reading only: check mode before the first build


@dataclass(frozen=True)
class Store:
    """One place for objects. `name` stands in errors; `folder` is set for local stores."""

    name: str
    backend: ObjectStore
    folder: Path | None = None

    def head(self, key: str) -> int | None:
        """Return the size of an object, or None when there is none."""
        with self._errors(f"read {key}"):
            try:
                return int(self.backend.head(key)["size"])
            except FileNotFoundError:
                return None

    def stream(self, key: str) -> Iterator[bytes] | None:
        """Return the bytes of an object in pieces, or None when there is none."""
        with self._errors(f"read {key}"):
            try:
                result = self.backend.get(key)
            except FileNotFoundError:
                return None
        return self._pieces(key, iter(result.stream(min_chunk_size=CHUNK)))

    def get(self, key: str) -> bytes | None:
        """Return an object, or None when there is none."""
        pieces = self.stream(key)
        return None if pieces is None else b"".join(pieces)

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys below a prefix."""
        with self._errors(f"list {prefix}"):
            return sorted(item["path"] for batch in self.backend.list(prefix) for item in batch)

    def put_once(self, key: str, source: bytes | Path) -> Put:
        """Write an object unless it is there. Another object under the key is a conflict and stays as it is."""
        wanted = sha256(source) if isinstance(source, bytes) else file_sha256(source)
        found = self._sha256(key)
        created = found is None and self._create(key, source)
        if found is None:
            found = self._sha256(key)
        if found != wanted:
            return Put.CONFLICT
        return Put.CREATED if created else Put.SAME

    def replace(self, key: str, data: bytes) -> None:
        """Write an object over what is there: for channels, and for test records that are renewed."""
        with self._errors(f"write {key}"):
            self.backend.put(key, data, use_multipart=False)
        self._flush(key)

    def delete(self, key: str) -> bool:
        """Remove an object; False when there was none."""
        if self.head(key) is None:
            return False
        with self._errors(f"delete {key}"), contextlib.suppress(FileNotFoundError):
            self.backend.delete(key)
        return True

    def _create(self, key: str, source: bytes | Path) -> bool:
        with self._errors(f"write {key}"):
            try:
                try:
                    self.backend.put(key, source, mode="create")
                except NotImplementedError:
                    # WebDAV knows no conditional write: look, put, look again is all that can be had.
                    self.backend.put(key, source, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        self._flush(key)
        return True

    def _sha256(self, key: str) -> str | None:
        pieces = self.stream(key)
        if pieces is None:
            return None
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, key: str, pieces: Iterator[t.Any]) -> Iterator[bytes]:
        with self._errors(f"read {key}"):
            for piece in pieces:
                yield bytes(piece)

    def _flush(self, key: str) -> None:
        """Bring an object and its name to the disk, so that what is written later never outlives it."""
        if self.folder is None:
            return
        path = self.folder / key
        with self._errors(f"write {key}"):
            for place in (path, *path.relative_to(self.folder).parents):
                handle = os.open(self.folder / place, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as exc:
            raise ContainerlessError(f"{self.name}: can't {doing}: {_first_line(exc)}") from exc


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_store(url: str, *, option: str = "app_store", missing: Missing = Missing.REFUSE) -> Store:
    """Return the store at a URL; errors name the `option` that holds it. Credentials come from the environment."""
    if not HAS_OBSTORE:
        raise ContainerlessError(
            f"{option} needs the Python library obstore on the control node: pip install 'obstore>=0.12.1,<0.13'"
        )
    parts = urlsplit(url)
    name = f"{option} {_without_password(url)}"
    file = _artifact_file.path_of(url)
    if file is not None and not file.is_dir():
        return _open_file(file, name, missing)
    if parts.scheme not in SCHEMES or (parts.scheme != "file" and not parts.netloc):
        raise ContainerlessError(
            f"{name} must be a URL such as file:///srv/artifacts, s3://, gs://, az:// or https://, or the absolute path"
            " of one artifact such as /srv/shop-1.4.tar.gz"
        )
    if parts.scheme != "file":
        try:
            return Store(name, from_url(url))
        except (BaseError, ValueError) as exc:
            raise ContainerlessError(f"{name} can't be opened: {_first_line(exc)}") from exc
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute():
        raise ContainerlessError(f"{name} must have three slashes and an absolute path, as in file:///srv/artifacts")
    if missing is Missing.CREATE:
        _make(folder, name)
    elif missing is Missing.EMPTY and not folder.exists():
        return Store(name, MemoryStore())
    if not folder.is_dir():
        raise ContainerlessError(f"{name} is not a folder on the control node; create it, or correct {option}")
    return Store(name, LocalStore(prefix=folder), folder)


def _open_file(file: Path, name: str, missing: Missing) -> Store:
    """Return the store that an artifact file is; one that is written to need not be there, but its folder has to."""
    if not file.is_file() and missing is Missing.REFUSE:
        raise ContainerlessError(f"{name} is not there; upload an artifact to it, or correct the path")
    if not file.parent.is_dir():
        raise ContainerlessError(f"{name} is in no folder of the control node; create {file.parent}")
    return Store(name, t.cast("ObjectStore", _artifact_file.ArtifactFile(file)))


def _make(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ContainerlessError(f"{name} can't be created: {exc.strerror}") from exc


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _first_line(exc: BaseException) -> str:
    """Return what went wrong without the library's debug tail."""
    return (str(exc) or type(exc).__name__).splitlines()[0].strip()
