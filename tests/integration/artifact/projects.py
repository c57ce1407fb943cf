# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small but whole projects: files of a commit, locks, wheels and sdists of the tests' own."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import typing as t
import zipfile

from ansible_collections.containerless.django.tests.fixtures.shop import history

if t.TYPE_CHECKING:
    from pathlib import Path

Files = t.Mapping[str, str | None]
DATE = "2024-03-01T12:00:00Z"
#: A file has one time in an archive: what is made twice has the same bytes.
TIME = (2024, 3, 1, 12, 0, 0)


def locked(*names: str) -> str:
    """Return the lines of the sample project's lock that pin these distributions."""
    text = (history.HERE / "base/requirements.txt").read_text(encoding="utf-8")
    whole = re.findall(r"^[a-z0-9-]+==(?:.*\\\n)*.*\n", text, re.MULTILINE)
    lines = {line.partition("==")[0]: line for line in whole}
    return "".join(lines[name] for name in names)


WSGI: dict[str, str] = {
    "Procfile": "web: gunicorn hello:application\n",
    "hello.py": """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from " + __file__.rpartition("/")[2].encode()]
""",
    "requirements.txt": locked("gunicorn"),
}

PINS = ("asgiref", "django", "gunicorn", "sqlparse", "typing-extensions")
_SETTINGS = """
import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "blog.urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "blog"]
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT")
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
"""
_URLS = """
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("blog " + static("blog/a.css")))]
"""
_GATEWAY = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "blog.settings")
from django.core.{kind} import get_{kind}_application
application = get_{kind}_application()
"""
_MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "blog.settings")
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
_MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Post", [("id", models.BigAutoField(primary_key=True))])]
"""
_PACKAGE: dict[str, str] = {
    "blog/__init__.py": "",
    "blog/settings.py": _SETTINGS,
    "blog/urls.py": _URLS,
    "blog/wsgi.py": _GATEWAY.format(kind="wsgi"),
    "blog/asgi.py": _GATEWAY.format(kind="asgi"),
    "blog/migrations/__init__.py": "",
    "blog/migrations/0001_initial.py": _MIGRATION,
    "blog/static/blog/a.css": "body { color: #123 }\n",
    "blog/static/blog/notes.txt": "not for everybody\n",
}
DJANGO: dict[str, str] = {
    "Procfile": "web: gunicorn blog.wsgi\n",
    "manage.py": _MANAGE,
    "requirements.txt": locked(*PINS),
    **_PACKAGE,
}


def below(folder: str, files: Files) -> Files:
    """Move files into a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}


def write(folder: Path, files: Files) -> Path:
    """Write files below a folder; None removes one."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            path.unlink()
        else:
            path.write_text(data, encoding="utf-8")
    return folder


def commit(repository: Path, files: Files) -> str:
    """Lay files over the last commit; return the new one's id, which depends on nothing but the files."""
    write(repository, files)
    history.git("add", "--all", "--force", repo=repository)
    history.git("commit", "-q", "--allow-empty", "-m", "next", repo=repository, date=DATE)
    return history.git("rev-parse", "HEAD", repo=repository)


def checkout(folder: Path, *layers: Files) -> Path:
    """Make a checkout of one commit that holds files; later layers win."""
    folder.mkdir(parents=True)
    history.git("init", "-q", "--object-format=sha1", "--template=", "-b", "main", str(folder))
    merged = {name: data for files in layers for name, data in files.items()}
    commit(folder, {name: data for name, data in merged.items() if data is not None})
    return folder


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def make_wheel(
    folder: Path,
    name: str,
    files: t.Mapping[str, str] | None = None,
    *,
    scripts: t.Mapping[str, str] | None = None,
    requires: tuple[str, ...] = (),
) -> str:
    """Write a pure wheel of version 1.0 and return its line of a lock. RECORD is right about every file."""
    info = f"{name}-1.0.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    contents = {
        **({f"{name}.py": ""} if files is None else files),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        lines = "".join(f"{script} = {entry}\n" for script, entry in scripts.items())
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    rows = [f"{file},sha256={_digest(text.encode())},{len(text.encode())}\n" for file, text in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in contents.items():
            wheel.writestr(zipfile.ZipInfo(file, TIME), text)
    return pin(path, name)


def make_sdist(folder: Path, name: str, files: Files) -> str:
    """Write a sdist of version 1.0 and return its line of a lock."""
    path = folder / f"{name}-1.0.tar.gz"
    info = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    with tarfile.open(path, "w:gz") as sdist:
        for file, data in {"PKG-INFO": info, **files}.items():
            raw = (data or "").encode()
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(raw)
            sdist.addfile(member, io.BytesIO(raw))
    return pin(path, name)


def pin(path: Path, name: str) -> str:
    """Return the line of a lock for a file."""
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
