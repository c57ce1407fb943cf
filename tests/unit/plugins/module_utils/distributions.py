# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real wheels and sdists, made on the spot."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import tarfile
import zipfile
from pathlib import Path

#: What a setuptools sdist holds at least.
SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_wheel(
    folder: Path,
    name: str,
    tag: str = "py3-none-any",
    *,
    version: str = "1.0",
    files: dict[str, str] | None = None,
    requires: str = "",
    build: str = "",
) -> str:
    """Write a wheel that every installer accepts and return its digest; the bytes depend on the arguments alone."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    content = {
        **{file: text.encode() for file, text in (files or {f"{name}.py": ""}).items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    digests = {file: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for file, data in content.items()}
    rows = [f"{file},sha256={digests[file].rstrip(b'=').decode()},{len(data)}\n" for file, data in content.items()]
    content[f"{info}/RECORD"] = f"{''.join(rows)}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-{version}{build and '-' + build}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, data in content.items():
            wheel.writestr(zipfile.ZipInfo(file), data)
    return sha256(path)


def make_sdist(folder: Path, name: str, files: dict[str, str], *, version: str = "1.0", kind: str = "tar.gz") -> str:
    """Write a sdist with these files in its folder and return its digest."""
    path = folder / f"{name}-{version}.{kind}"
    content = {f"{name}-{version}/{file}": text.encode() for file, text in files.items()}
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, data in content.items():
                archive.writestr(zipfile.ZipInfo(file), data)
        return sha256(path)
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for file, data in content.items():
            member = tarfile.TarInfo(file)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return sha256(path)


def pack_installed(folder: Path, name: str) -> Path:
    """Write a distribution of this environment as the wheel that it came from, so that no index is asked for it."""
    found = importlib.metadata.distribution(name)
    path = folder / f"{name}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files or []:
            whole = not str(file).startswith("..") and "__pycache__" not in file.parts
            if whole and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
                wheel.writestr(zipfile.ZipInfo(str(file)), Path(str(file.locate())).read_bytes())
    return path
