# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
import zipfile
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import runner, wheelhouse
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError

from ..distributions import SETUPTOOLS, make_sdist, pack_installed, sha256

# As root a build goes on as nobody, who may not reach root's own Python.
PYTHON = "/usr/bin/python3" if os.geteuid() == 0 else os.path.realpath(sys.executable)
EPOCH = 1_700_000_000


def header() -> Path:
    code = "import sysconfig; print(sysconfig.get_path('include'))"
    return Path(subprocess.check_output([PYTHON, "-c", code]).decode().strip(), "Python.h")


needs_uv = pytest.mark.skipif(shutil.which("uv") is None, reason="no uv on PATH")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None or not header().is_file(), reason="no gcc or no Python.h")

# A backend in the tree needs nothing installed, so such a build takes no time.
IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
PURE = {
    "pyproject.toml": SETUPTOOLS + '[project]\nname = "pure"\nversion = "1.0"\n',
    "pure.py": "x = 1\n",
}
NATIVE_C = """
#include <Python.h>
{include}
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "native", __FILE__, -1, NULL}};
PyMODINIT_FUNC PyInit_native(void) {{ return PyModule_Create(&module); }}
"""


def native(include: str = "") -> dict[str, str]:
    setup = "from setuptools import Extension, setup\n"
    return {
        "pyproject.toml": SETUPTOOLS,
        "setup.py": f"{setup}setup(name='native', version='1.0', ext_modules=[Extension('native', ['native.c'])])\n",
        "native.c": NATIVE_C.format(include=include),
    }


class Shop:
    """A build host's folder as the builder lays it out."""

    def __init__(self, root: Path, *wheels: Path) -> None:
        self.root = root
        self.commands = runner.make_runner(runner.environment(str(root / "home"), EPOCH))
        root.mkdir()
        root.chmod(0o755)
        for name in ("home", "wheels", "sdists"):
            self.commands.own(str(root / name))
        lines = []
        for wheel in wheels:
            shutil.copy(wheel, root / "wheels")
            lines.append("{}=={} --hash=sha256:{}\n".format(*wheel.name.split("-")[:2], sha256(wheel)))
        (root / "requirements.txt").write_text("".join(lines))

    def build(self, source: str, what: str = "thing 1.0") -> Path:
        made = wheelhouse.build(
            self.commands,
            uv=[str(self.root.parent / "uv"), "--no-progress", "--color", "never"],
            python=PYTHON,
            folder=self.commands.own(str(self.root / "build")),
            source=source,
            requirements=str(self.root / "requirements.txt"),
            wheels=str(self.root / "wheels"),
            what=what,
        )
        return Path(made)

    def sdist(self, name: str, files: dict[str, str], **options: t.Any) -> str:
        make_sdist(self.root / "sdists", name, files, **options)
        return str(next((self.root / "sdists").glob(f"{name}-1.0.*")))


@pytest.fixture(scope="module")
def setuptools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack_installed(tmp_path_factory.mktemp("wheels"), "setuptools")


@pytest.fixture
def place() -> t.Iterator[Path]:
    """Give a folder with uv that a build's own user reaches too."""
    with tempfile.TemporaryDirectory(prefix="containerless-test-") as folder:
        Path(folder).chmod(0o755)
        shutil.copy(shutil.which("uv") or "", folder)
        yield Path(folder)


@needs_uv
@pytest.mark.exhaustive
def test_a_sdist_becomes_the_same_wheel_in_any_folder(place: Path, setuptools: Path) -> None:
    digests = set()
    for name in ("one", "another"):
        shop = Shop(place / name, setuptools)
        wheel = shop.build(shop.sdist("pure", PURE))
        assert wheel.name == "pure-1.0-py3-none-any.whl"
        digests.add(sha256(wheel))
    assert len(digests) == 1


@needs_uv
@needs_gcc
@pytest.mark.exhaustive
def test_a_compiled_sdist_does_not_hold_the_folder_it_was_built_in(place: Path, setuptools: Path) -> None:
    shops = [Shop(place / name, setuptools) for name in ("one", "another")]
    wheels = [shop.build(shop.sdist("native", native())) for shop in shops]
    assert sha256(wheels[0]) == sha256(wheels[1])
    with zipfile.ZipFile(wheels[0]) as wheel:
        library = next(name for name in wheel.namelist() if name.endswith(".so"))
        assert str(place).encode() not in wheel.read(library)


@needs_uv
@needs_gcc
def test_a_missing_header_is_named_with_the_distribution_and_the_option(place: Path, setuptools: Path) -> None:
    shop = Shop(place / "one", setuptools)
    source = shop.sdist("native", native("#include <libzebra/zebra.h>"))
    fault = r"^native 1.0 can't be built from source: the header libzebra/zebra.h is missing: .*app_build_packages"
    with pytest.raises(ContainerlessError, match=fault) as caught:
        shop.build(source, "native 1.0")
    assert "fatal error: libzebra/zebra.h" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 16


@needs_uv
def test_what_a_build_lacks_in_python_is_named_with_the_table(place: Path) -> None:
    shop = Shop(place / "one")
    source = shop.sdist("thing", {"pyproject.toml": IN_TREE, "own.py": "import zebra_tool\n"})
    fault = r"its build needs zebra_tool: name it below \[tool.containerless.build-requires\] in pyproject.toml"
    with pytest.raises(ContainerlessError, match=fault):
        shop.build(source)


@needs_uv
def test_a_folder_and_a_zip_are_built_with_a_scrubbed_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_A_PERSON", "x")
    backend = """
import os, zipfile
def build_wheel(folder, *_):
    assert os.environ["SOURCE_DATE_EPOCH"] == "1700000000" and "SECRET_OF_A_PERSON" not in os.environ
    assert os.geteuid() != 0
    with zipfile.ZipFile(folder + "/thing-1.0-py3-none-any.whl", "w") as made:
        made.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n")
        made.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        made.writestr("thing-1.0.dist-info/RECORD", "")
    return "thing-1.0-py3-none-any.whl"
"""
    files = {"pyproject.toml": IN_TREE, "own.py": backend}
    shop = Shop(place / "zipped")
    assert shop.build(shop.sdist("thing", files, kind="zip")).name == "thing-1.0-py3-none-any.whl"
    shop = Shop(place / "folder")
    project = Path(shop.commands.own(str(shop.root / "project")))
    for name, text in files.items():
        (project / name).write_text(text)
    assert shop.build(str(project)).name == "thing-1.0-py3-none-any.whl"


@needs_uv
def test_a_changed_build_requirement_is_refused(place: Path, setuptools: Path) -> None:
    shop = Shop(place / "one", setuptools)
    with zipfile.ZipFile(shop.root / "wheels" / setuptools.name, "a") as wheel:
        wheel.writestr("more.py", "")
    with pytest.raises(ContainerlessError, match="installing what the build of thing 1.0 needs failed"):
        shop.build(shop.sdist("pure", PURE))


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        ("x.c:1:10: fatal error: Python.h: No such file or directory", "the header Python.h is missing: install its"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "x86_64-linux-gnu-gcc is missing"),
        ("../meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]", "there is none of the compilers [['cc']"),
        ("/usr/bin/ld: cannot find -lcairo: No such file or directory", "the library cairo is missing"),
        ('ERROR: Dependency "cairo" not found (tried pkg-config)', "the library cairo is missing"),
        ("Package 'libffi', required by 'virtual:world', not found", "the library libffi is missing"),
        ("Exception: Could not find lz4 lib/headers, please set BORG_LIBLZ4_PREFIX", "the library lz4 is missing"),
        ("Error: pg_config executable not found.", "pg_config is missing"),
        ("error: could not run mysql_config: No such file or directory", "mysql_config is missing"),
        ("ModuleNotFoundError: No module named 'Cython'", "its build needs Cython: name it below [tool.containerless."),
        ("LookupError: setuptools-scm was unable to detect version for /x", "it takes its version from git"),
        ("fatal error: a.h: No such file\nModuleNotFoundError: No module named 'b'", "the header a.h is missing"),
        ("Killed", "its build failed; what it said last is below"),
    ],
)
def test_advice(output: str, advice: str) -> None:
    assert wheelhouse.advice(output).startswith(advice)
