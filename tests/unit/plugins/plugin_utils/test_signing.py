# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures in real stores, by real keys."""

from __future__ import annotations

import functools
import http.server
import re
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import signature
from ansible_collections.containerless.django.plugins.module_utils._core import canonical
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _signing
from ansible_collections.containerless.django.plugins.plugin_utils._repository import Repository
from ansible_collections.containerless.django.plugins.plugin_utils._signing import Signer
from ansible_collections.containerless.django.plugins.plugin_utils._store import Store
from obstore.store import HTTPStore

from ..module_utils.ssh_keys import Keys
from .conftest import Artifact
from .test_repository import at, everything, tamper


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ann", "bob", "eve"):
        made.make(name)
    made.make("curve", "-t", "ecdsa")
    return made


@pytest.fixture
def ann(keys: Keys) -> Signer:
    return Signer(keys.path("ann"))


@pytest.fixture
def signers(keys: Keys) -> list[str]:
    return ["# who may sign", keys.fill("ann@x <ann>"), keys.fill("bob@x <bob>")]


@pytest.fixture
def published(repository: Repository, artifact: Artifact) -> Repository:
    artifact.publish(repository)
    return repository


def signed_keys(repository: Repository) -> list[str]:
    return sorted(Path(key).name for key in everything(repository) if "/signatures/" in key)


def test_a_signer_signs_manifest_and_provenance_once(
    published: Repository, artifact: Artifact, ann: Signer, keys: Keys
) -> None:
    before = everything(published)
    assert ann.sign_artifact(published, artifact.content_id, check_mode=True)
    assert everything(published) == before
    assert ann.sign_artifact(published, artifact.content_id)
    digits = signature.public_key(keys.path("ann"))[:16]
    assert signed_keys(published) == [f"manifest.{digits}.sig", f"provenance.{digits}.sig"]
    for check_mode in (True, False):
        assert not ann.sign_artifact(published, artifact.content_id, check_mode=check_mode)


def test_a_key_whose_signatures_differ_each_time_signs_once_too(
    published: Repository, artifact: Artifact, keys: Keys
) -> None:
    curve = Signer(keys.path("curve"))
    assert curve.sign_artifact(published, artifact.content_id)
    assert not curve.sign_artifact(published, artifact.content_id)
    with pytest.raises(ContainerlessError, match="never overwritten"):
        published.signatures(artifact.content_id).put(
            "manifest", signature.sign(canonical.dumps(artifact.manifest), curve.key, "manifest@containerless.django")
        )


def test_what_is_not_there_is_not_signed(repository: Repository, artifact: Artifact, ann: Signer) -> None:
    with pytest.raises(ContainerlessError, match=r"has no manifest in \S+ file://"):
        ann.sign_artifact(repository, artifact.content_id)
    artifact.publish(repository)
    with pytest.raises(ContainerlessError, match=r"has no test record \(default-0123456789ab-debian12\) in"):
        ann.sign_record(repository, artifact.content_id, artifact.record_name)


def test_a_key_is_tried_out_before_it_is_needed(ann: Signer, tmp_path: Path) -> None:
    ann.try_out()
    with pytest.raises(ContainerlessError, match="app_build_signing_key .* is not a file"):
        Signer(str(tmp_path / "none")).try_out()


def test_a_damaged_signature_is_named(published: Repository, artifact: Artifact, ann: Signer) -> None:
    ann.sign_artifact(published, artifact.content_id)
    digits = signature.public_key(ann.key)
    path = at(published, published.keys.signature(artifact.content_id, "manifest", digits))
    path.write_bytes(b"")
    with pytest.raises(ContainerlessError, match=r"^shop/artifacts/\w+/signatures/manifest\.\w+\.sig in .* remove it$"):
        ann.sign_artifact(published, artifact.content_id)
    path.unlink()
    assert ann.sign_artifact(published, artifact.content_id)


def test_who_signed_is_told(published: Repository, artifact: Artifact, keys: Keys, signers: list[str]) -> None:
    content_id = artifact.content_id
    assert _signing.signed_by(published, content_id, []) == "unsigned"
    Signer(keys.path("bob")).sign_artifact(published, content_id)
    assert _signing.signed_by(published, content_id, []) == f"{keys.fingerprint('bob')} (not checked)"
    assert _signing.signed_by(published, content_id, signers) == "bob@x"


# what -> keys that sign, allowed signers, message (or who it is)
REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "unsigned": ((), "ann@x <ann>", r"^artifact \w{12} is refused for its manifest: there is no signature; sign it by"),
    "foreign": (("eve",), "ann@x <ann>", r"its manifest: SHA256:\S+ is not among app_signers; sign it by a key"),
    "expired": (("ann",), 'ann@x valid-before="20200101" <ann>', r"its manifest: app_signers line 1 .*has expired"),
    "not yet valid": (("ann",), 'ann@x valid-after="29990101" <ann>', r"its manifest: .*line 1 .*not yet valid"),
    "a malformed line": (("ann",), "ann@x <ann>\nann@x", r"^app_signers line 2 is none of ALLOWED SIGNERS"),
    "manifest only": (
        ("ann",),
        'ann@x namespaces="manifest@containerless.django" <ann>',
        r"its provenance: app_signers line 1 .*not permitted .*namespace",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_nobody_signed_who_may_is_refused(
    published: Repository, artifact: Artifact, keys: Keys, case: str
) -> None:
    names, allowed, message = REFUSED[case]
    for name in names:
        Signer(keys.path(name)).sign_artifact(published, artifact.content_id)
    with pytest.raises(ContainerlessError, match=message):
        _signing.signed_by(published, artifact.content_id, keys.fill(allowed).splitlines())


def test_a_new_key_signs_beside_the_old_one(published: Repository, artifact: Artifact, keys: Keys) -> None:
    rotated = keys.fill('old@x valid-before="20200101" <ann>\nnew@x <bob>').splitlines()
    Signer(keys.path("ann")).sign_artifact(published, artifact.content_id)
    with pytest.raises(ContainerlessError, match="has expired"):
        _signing.signed_by(published, artifact.content_id, rotated)
    assert Signer(keys.path("bob")).sign_artifact(published, artifact.content_id)
    assert len(signed_keys(published)) == 4
    assert _signing.signed_by(published, artifact.content_id, rotated) == "new@x"


@pytest.mark.parametrize("name", ["manifest", "provenance"])
def test_a_changed_document_is_refused(
    published: Repository, artifact: Artifact, ann: Signer, signers: list[str], name: str
) -> None:
    ann.sign_artifact(published, artifact.content_id)
    tamper(at(published, published.keys.document(artifact.content_id, name)))
    with pytest.raises(ContainerlessError, match=rf"{name}.*was changed"):
        _signing.signed_by(published, artifact.content_id, signers)


def test_another_artifacts_signature_does_not_count(
    published: Repository, artifact: Artifact, ann: Signer, signers: list[str], tmp_path: Path
) -> None:
    other = Artifact(b"another tar", tmp_path)
    other.publish(published)
    ann.sign_artifact(published, other.content_id)
    for key in list(everything(published)):
        if other.content_id in key and "/signatures/" in key:
            moved = at(published, key.replace(other.content_id, artifact.content_id))
            moved.parent.mkdir(exist_ok=True)
            moved.write_bytes(at(published, key).read_bytes())
    with pytest.raises(ContainerlessError, match=r"its manifest: the document is not the one that SHA256:\S+ signed"):
        _signing.signed_by(published, artifact.content_id, signers)
    # Not even with the manifest that it is of.
    manifest = at(published, published.keys.manifest(artifact.content_id))
    manifest.write_bytes(canonical.dumps(other.manifest))
    with pytest.raises(ContainerlessError, match=r"^the manifest of artifact \w{12} was changed in the store"):
        _signing.signed_by(published, artifact.content_id, signers)


def test_a_manifest_is_never_taken_for_a_provenance(
    published: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    """Not even where a key signed its bytes as one."""
    signatures = published.signatures(artifact.content_id)
    document = signatures.document("manifest") or b""
    signatures.put("manifest", signature.sign(document, ann.key, signature.NAMESPACES["provenance"]))
    with pytest.raises(ContainerlessError, match="is for namespace 'provenance@containerless.django', not 'manifest@"):
        _signing.signed_by(published, artifact.content_id, signers)


def test_a_test_record_needs_a_signature_of_its_own(
    published: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    published.put_record(artifact.record)
    with pytest.raises(
        ContainerlessError,
        match=r"refused for its test record \(default-0123456789ab-debian12\): there is no signature",
    ):
        _signing.check_record(published, artifact.content_id, artifact.record_name, signers)
    assert ann.sign_record(published, artifact.content_id, artifact.record_name)
    assert not ann.sign_record(published, artifact.content_id, artifact.record_name)
    assert _signing.check_record(published, artifact.content_id, artifact.record_name, signers) == "ann@x"


def test_signatures_are_copied_also_those_that_came_later(
    published: Repository, other: Repository, artifact: Artifact, ann: Signer, keys: Keys
) -> None:
    index_id = published.put_index(artifact.index)
    published.put_record(artifact.record)
    ann.sign_artifact(published, artifact.content_id)
    ann.sign_record(published, artifact.content_id, artifact.record_name)
    assert len([key for key in published.missing_in(other, index_id) if "/signatures/" in key]) == 3
    assert published.copy_to(other, index_id)
    assert everything(other) == everything(published)
    Signer(keys.path("bob")).sign_artifact(published, artifact.content_id)
    missing = published.missing_in(other, index_id)
    assert [key.partition("/signatures/")[2].partition(".")[0] for key in missing] == ["manifest", "provenance"]
    assert published.copy_to(other, index_id)
    assert everything(other) == everything(published)
    assert not published.copy_to(other, index_id)


def test_another_builders_provenance_keeps_its_own_signatures(
    published: Repository, other: Repository, artifact: Artifact, keys: Keys, signers: list[str]
) -> None:
    index_id = published.put_index(artifact.index)
    Signer(keys.path("ann")).sign_artifact(published, artifact.content_id)
    # The same bytes, built elsewhere a day earlier, and by somebody who had no key.
    artifact.provenance = canonical.dumps({**canonical.loads(artifact.provenance, "p"), "time": "earlier"})
    artifact.publish(other)
    with pytest.raises(ContainerlessError, match="refused for its provenance"):
        _signing.check_copy(published, other, artifact.content_id, signers)
    published.copy_to(other, index_id)
    assert [name.partition(".")[0] for name in signed_keys(other)] == ["manifest"]
    Signer(keys.path("bob")).sign_artifact(other, artifact.content_id)
    assert _signing.check_copy(published, other, artifact.content_id, signers) in ("ann@x", "bob@x")


def test_a_copy_is_judged_before_it_is_made(
    published: Repository, other: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    assert _signing.check_copy(published, other, artifact.content_id, []) == "unsigned"
    with pytest.raises(ContainerlessError, match="refused for its manifest"):
        _signing.check_copy(published, other, artifact.content_id, signers)
    ann.sign_artifact(published, artifact.content_id)
    assert _signing.check_copy(published, other, artifact.content_id, []).endswith(" (not checked)")
    assert _signing.check_copy(published, other, artifact.content_id, signers) == "ann@x"
    assert everything(other) == {}


def test_a_record_that_was_replaced_leaves_no_signature(
    published: Repository, other: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    index_id = published.put_index(artifact.index)
    published.put_record(artifact.record)
    ann.sign_record(published, artifact.content_id, artifact.record_name)
    published.copy_to(other, index_id)
    published.put_record({**artifact.record, "time": "2026-12-01T00:00:00Z"})
    with pytest.raises(ContainerlessError, match="there is no signature"):
        _signing.check_record(published, artifact.content_id, artifact.record_name, signers)
    ann.sign_record(published, artifact.content_id, artifact.record_name)
    published.copy_to(other, index_id)
    assert everything(other) == everything(published)
    assert _signing.check_record(other, artifact.content_id, artifact.record_name, signers) == "ann@x"


class Files(http.server.SimpleHTTPRequestHandler):
    """A web server that only serves files."""

    def log_message(self, *_args: t.Any) -> None:
        pass


@pytest.fixture
def served(published: Repository) -> t.Iterator[Repository]:
    """Return the same repository behind a web server that can't list."""
    make = functools.partial(Files, directory=str(published.store.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        backend = HTTPStore.from_url(
            f"http://127.0.0.1:{server.server_port}",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )
        yield Repository(Store("app_store web", backend), "shop")
        server.shutdown()


def test_a_store_that_can_not_list_is_asked_for_the_allowed_keys(
    published: Repository, served: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    with pytest.raises(ContainerlessError, match="can't list"):
        served.store.list("shop")
    with pytest.raises(ContainerlessError, match="its manifest: there is no signature"):
        _signing.signed_by(served, artifact.content_id, signers)
    ann.sign_artifact(published, artifact.content_id)
    assert _signing.signed_by(served, artifact.content_id, signers) == "ann@x"


def test_other_files_among_the_signatures_do_no_harm(
    published: Repository, artifact: Artifact, ann: Signer, signers: list[str]
) -> None:
    ann.sign_artifact(published, artifact.content_id)
    folder = at(published, published.keys.signatures(artifact.content_id))
    for name in ("README", "manifest.sig", "index.0123456789abcdef.sig", "manifest.0123456789ABCDEF.sig"):
        (folder / name).write_text("x", "utf-8")
    (folder / "manifest.0123456789abcdef.sig").write_text("x", "utf-8")
    assert _signing.signed_by(published, artifact.content_id, signers) == "ann@x"
    assert re.fullmatch(
        r"(SHA256:\S+ \(not checked\)|damaged signature \(not checked\)|, )+",
        _signing.signed_by(published, artifact.content_id, []),
    )
