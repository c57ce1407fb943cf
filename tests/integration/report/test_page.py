# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a test, in a real Chromium: it is read whole, on a phone too, and asks nobody for anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing as t
from html import unescape
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import compare
from ansible_collections.containerless.django.plugins.plugin_utils._test_report import Report, Row

ROOT = Path(__file__).parents[3]
TEMPLATE = (ROOT / "roles/app_test/templates/report.html.j2").read_text(encoding="utf-8")
LONG = "a" * 400
HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
MANIFEST = {
    "version": "1.0",
    "distributions": [{"name": "django", "version": "5.2", "file": "d.whl", "sha256": "0" * 64}],
}
#: Looks at the page as a browser laid it out; file: pages may look into each other by an option of Chromium.
HARNESS = """<!DOCTYPE html><title>waiting</title><body style="margin: 0">
<iframe src="page.html" style="border: 0; width: {width}px; height: 900px"></iframe><pre id="seen"></pre>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  const all = (selector) => [...page.querySelectorAll(selector)];
  document.getElementById("seen").textContent = JSON.stringify({{
    title: page.title,
    width: root.clientWidth,
    needs: root.scrollWidth,
    rows: all("tr.row").map((row) => row.cells[0].textContent + ": " + row.cells[1].textContent),
    open: all("details[open] pre").filter((pre) => pre.offsetHeight > 0).map((pre) => pre.textContent),
    closed: all("details:not([open])").length,
    colours: [getComputedStyle(page.querySelector(".failed")).color, getComputedStyle(root).color],
    asked: page.defaultView.performance.getEntriesByType("resource").map((entry) => entry.name),
    scripts: page.scripts.length,
  }});
}};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    if os.geteuid() == 0 and not shutil.which("chromium"):
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        subprocess.run(
            install, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
    found = shutil.which("chromium")
    assert found, "install chromium, or run this as root, which installs it"
    return found


@pytest.fixture(scope="module")
def page() -> str:
    rows = [
        Row("release: health", True, 1.2, "done"),
        Row("pages", False, 0.25, f"{HOSTILE} {LONG}", f"the log\n{HOSTILE}\n{LONG}"),
        Row("static files", True, 0.1, "3 are served", "a log that nobody has to read"),
        Row("later", None, None, "not run"),
    ]
    difference = compare.compare(compare.Side({}), compare.Side(_manifest()))
    facts = {"artifact": "6f" * 32, "note": HOSTILE}
    exposure = {"web": {"exposure": 0.2, "worst": LONG}}
    return Report("shop 1.0, level default", facts, rows, exposure, difference).html(TEMPLATE)


def _manifest() -> dict[str, t.Any]:
    unknown: dict[str, t.Any] = {
        "source": {"commit": "c" * 40, "dirty": False},
        "python": {"version": "3.11", "soabi": "cpython-311"},
        "platform": {"machine": "x86_64", "libc": "glibc", "libc_min": "2.36"},
        "lock": {"kind": "uv", "sha256": "0" * 64},
        "django": None,
    }
    return {**unknown, **MANIFEST}


@pytest.mark.parametrize("width", [360, 1200])
def test_a_page_is_read_whole(chromium: str, page: str, tmp_path: Path, width: int) -> None:
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "harness.html").write_text(HARNESS.format(width=width), encoding="utf-8")
    argv = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    argv += [f"--user-data-dir={tmp_path}/profile", "--window-size=1300,1000", "--virtual-time-budget=5000"]
    done = subprocess.run(
        [*argv, "--dump-dom", (tmp_path / "harness.html").as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    match = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stdout + done.stderr
    seen = json.loads(unescape(match[1]))
    assert seen["title"] == "failed: shop 1.0, level default"
    assert seen["width"] == width or seen["width"] == width - 15  # a scroll bar
    assert seen["needs"] <= seen["width"], "it would have to be moved sideways"
    assert seen["rows"] == ["release: health: passed", "pages: failed", "static files: passed", "later: skipped"]
    assert [text.splitlines()[0] for text in seen["open"]] == ["the log"]
    assert HOSTILE in seen["open"][0]
    assert seen["closed"] == 1
    assert seen["colours"][0] != seen["colours"][1]
    assert (seen["asked"], seen["scripts"]) == ([], 0)
