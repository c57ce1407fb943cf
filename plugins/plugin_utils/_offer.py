# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One artifact of a store: which one is meant, and whether all of it is what its manifest says."""

from __future__ import annotations

import re
import tempfile
import typing as t
from pathlib import Path

from ..module_utils._artifact import inflate, verify
from ..module_utils._core import names
from ..module_utils._core.errors import ContainerlessError

if t.TYPE_CHECKING:
    from ._repository import Repository


def platform(shelf: Repository, content_id: str) -> str:
    """Return the platform that an artifact was built for, as its builder calls it."""
    return str(shelf.provenance(content_id).get("platform"))


def choose(shelf: Repository, meant: str, wanted: str) -> str:
    """Return the content_id that is meant: itself, or that of the platform `wanted` in the channel of this name.

    Of a channel with one variant the platform need not be given (""). Raises ContainerlessError.
    """
    if re.fullmatch(names.DIGEST, meant):
        if not shelf.has_artifact(meant):
            raise ContainerlessError(f"{shelf.store.name} has no artifact {meant} of {shelf.project}")
        return meant
    pointer = shelf.channel(meant)
    if pointer is None:
        raise ContainerlessError(f"{shelf.store.name} has no channel {meant} of {shelf.project}")
    content_ids = [variant["content_id"] for variant in shelf.index(pointer["index_id"])["variants"]]
    offered = {platform(shelf, content_id): content_id for content_id in content_ids}
    if wanted in offered:
        return str(offered[wanted])
    if wanted or len(offered) != 1:
        raise ContainerlessError(
            f"channel {meant} of {shelf.project} offers {', '.join(sorted(offered))}"
            + (f", not {wanted}" if wanted else "; name one as platform")
        )
    return str(next(iter(offered.values())))


def prove(shelf: Repository, content_id: str) -> list[dict[str, t.Any]]:
    """Fetch all blobs of an artifact and check every byte of them and of its documents; return what was checked.

    An encoding that this machine can't read is checked by its digest alone. Raises ContainerlessError.
    """
    manifest = shelf.manifest(content_id)
    shelf.sbom(content_id)
    found: list[dict[str, t.Any]] = []
    with tempfile.TemporaryDirectory(prefix="containerless-") as scratch:
        for blob, path in shelf.blobs(content_id, Path(scratch)):
            readable = blob.encoding in inflate.readable()
            if readable:
                with path.open("rb") as stream:
                    verify.blob(stream, encoding=blob.encoding, manifest=manifest, folder=scratch)
            said = "every byte" if readable else "digest of the blob"
            found.append({"encoding": blob.encoding, "sha256": blob.sha256, "size": blob.size, "checked": said})
    return found
