# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import tar
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._test import overlay

ID, OTHER = "a1" * 32, "b2" * 32
FILES = {"lib/pytest.py": "", "app/store/tests/test_it.py": "def test(): ..."}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An app whose code has one file."""
    found = Layout("shop", str(tmp_path / "root"))
    code = Path(found.tree(ID), "app/store")
    code.mkdir(parents=True)
    (code / "models.py").write_text("of the artifact")
    return found


def packed(tmp_path: Path, content_id: str = ID, files: t.Mapping[str, str] = FILES) -> tuple[str, str]:
    """Return an overlay's path and digest."""
    root = tmp_path / "overlay"
    document = {
        "content_id": content_id,
        "distributions": [{"name": "pytest"}] if "lib/pytest.py" in files else [],
        "files": sum(name.startswith("app/") for name in files),
    }
    for name, text in {**files, overlay.DOCUMENT: json.dumps(document)}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    out = io.BytesIO()
    tar.write_tar(str(root), out, mtime=0)
    (tmp_path / "overlay.tar").write_bytes(out.getvalue())
    return str(tmp_path / "overlay.tar"), hashlib.sha256(out.getvalue()).hexdigest()


def test_files_are_laid_over_a_copy_of_the_code(layout: Layout, tmp_path: Path) -> None:
    with overlay.Overlay(layout, ID).placed(*packed(tmp_path)) as placed:
        code = Path(placed.folder, "app")
        assert sorted(str(path.relative_to(code)) for path in code.rglob("*.py")) == [
            "store/models.py",
            "store/tests/test_it.py",
        ]
        (text,) = placed.texts
        assert text.splitlines() == [
            "[Service]",
            f"BindReadOnlyPaths={placed.folder}/lib",
            f"ExecPaths={placed.folder}/lib",
            f"Environment=PYTHONPATH={placed.tree}/app:{placed.folder}/lib",
            f"BindReadOnlyPaths={placed.folder}/app:{placed.tree}/app",
        ]
    assert not Path(placed.folder).exists()
    assert [path.name for path in Path(layout.tree(ID), "app/store").iterdir()] == ["models.py"]


def test_nothing_beside_the_artifact_changes_nothing(layout: Layout, tmp_path: Path) -> None:
    with overlay.Overlay(layout, ID).placed(*packed(tmp_path, files={})) as placed:
        assert (placed.texts, placed.summary) == ([], "nothing")


def test_the_overlay_of_another_artifact_is_refused(layout: Layout, tmp_path: Path) -> None:
    with (
        pytest.raises(ContainerlessError, match="overlay of artifact b2b2b2b2b2b2, and a1a1a1a1a1a1 is live"),
        overlay.Overlay(layout, ID).placed(*packed(tmp_path, OTHER)),
    ):
        pass
    assert not Path(layout.srv, "tests").exists()


def test_an_edited_overlay_is_refused(layout: Layout, tmp_path: Path) -> None:
    path, digest = packed(tmp_path)
    Path(path).write_bytes(Path(path).read_bytes().replace(b"def test", b"def tost"))
    with (
        pytest.raises(ContainerlessError, match="its SHA-256 differs"),
        overlay.Overlay(layout, ID).placed(path, digest),
    ):
        pass
    with (
        pytest.raises(ContainerlessError, match="none is not on this host"),
        overlay.Overlay(layout, ID).placed(f"{tmp_path}/none", digest),
    ):
        pass


def test_a_script_that_the_artifact_lacks_says_how(tmp_path: Path) -> None:
    placed = overlay.Placed("/tree", "/tests", {})
    with pytest.raises(ContainerlessError, match="app_test_command starts 'pytest'.* python -m pytest"):
        overlay.argv(["/tree/venv/bin/python", "/tree/venv/bin/pytest"], placed)
    assert overlay.argv(["/tree/venv/bin/python", "-m", "pytest"], placed)[1:] == ["-m", "pytest"]


DJANGO = """Found 3 test(s).
======================================================================
FAIL: test_total (store.tests.Total.test_total)
----------------------------------------------------------------------
AssertionError: 3 != 4

----------------------------------------------------------------------
Ran 3 tests in 0.012s

FAILED (failures=1)
Destroying test database for alias 'default'..."""
PYTEST = "FAILED store/tests.py::test_total\n==== 1 failed, 2 passed in 0.31s ===="


def test_what_the_tests_said() -> None:
    assert overlay.count("Ran 12 tests in 0.1s\n\nOK") == "12 tests passed"
    assert overlay.count("Ran 0 tests in 0.0s\n\nNO TESTS RAN") == "no test was found"
    assert overlay.count("==== 7 passed, 1 skipped in 0.31s ====") == "7 tests passed"
    assert overlay.count("fine") == "exit code 0"
    assert overlay.failure(DJANGO, 1).endswith("(exit code 1): FAILED (failures=1)")
    assert overlay.failure(PYTEST, 1).endswith("(exit code 1): 1 failed, 2 passed in 0.31s")
    assert overlay.failure("No module named pytest\n", 1).endswith("No module named pytest")
    assert overlay.failure("", 203).endswith("(exit code 203): they printed nothing")
