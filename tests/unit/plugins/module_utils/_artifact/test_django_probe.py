# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import django_probe

pytest.importorskip("django")

STORAGE = "django.contrib.staticfiles.storage"
PLAIN, MANIFEST = f"{STORAGE}.StaticFilesStorage", f"{STORAGE}.ManifestStaticFilesStorage"
SETTINGS = """
import os
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [os.path.join(os.path.dirname(__file__), "assets")]
STATIC_ROOT = {root}
STORAGES = {{"staticfiles": {{"BACKEND": {storage!r}}}}}
"""
HOSTS = 'os.environ["STATIC_ROOT"]'


def ask(folder: Path, root: str, storage: str) -> subprocess.CompletedProcess[str]:
    """Run the probe in a process of its own, as a build does."""
    (folder / "assets").mkdir()
    (folder / "assets/a.css").write_text("body {}")
    (folder / "site_settings.py").write_text(SETTINGS.format(root=root, storage=storage))
    request = {"static_root": str(folder / "static"), "static": {"collect": True, "ignore": []}}
    (folder / "request").write_text(json.dumps(request))
    main = f"from {django_probe.__name__} import main; main('request', 'answer')"
    env = {
        "PYTHONPATH": ":".join([*sys.path, str(folder)]),
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "STATIC_ROOT": str(folder / "static"),
    }
    return subprocess.run(
        [sys.executable, "-c", main], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("root", "storage", "manifest"),
    [(HOSTS, MANIFEST, "staticfiles.json"), (f"{HOSTS} + '/'", MANIFEST, "staticfiles.json"), ("None", PLAIN, None)],
    ids=["a host's", "with a slash", "needs no manifest"],
)
def test_static_files_are_collected_where_a_host_has_them(
    tmp_path: Path, root: str, storage: str, manifest: str | None
) -> None:
    done = ask(tmp_path, root, storage)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "answer").read_text())["static"] == {"collected": True, "manifest": manifest}
    assert (tmp_path / "static/a.css").is_file()


@pytest.mark.parametrize("root", ["'/srv/static'", "None"])
def test_a_storage_that_would_look_for_its_manifest_elsewhere_is_refused(tmp_path: Path, root: str) -> None:
    done = ask(tmp_path, root, MANIFEST)
    assert done.returncode == 1
    assert done.stderr.startswith("STORAGES['staticfiles'] would look for staticfiles.json in STATIC_ROOT ")
    assert done.stderr.endswith('write STATIC_ROOT = os.environ["STATIC_ROOT"] in the settings\n')
    assert list(tmp_path.glob("static/*")) == [], "nothing is done by half"
