# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site as `wagtail start` makes it runs in profile strict without an opt-out, uploads too.

Scenario wagtail shows the same on Debian 13 in every `make test`; this is for both systems.
"""

from __future__ import annotations

from conftest import ROOT, Project, assert_strict

PASSWORD = "only-for-these-tests"


def test_the_wagtail_site_takes_an_image(site: Project) -> None:
    site.ship("main")
    site.manage(
        "from django.contrib.auth import get_user_model as m; U = m().objects;"
        f" U.filter(username='editor').exists() or U.create_superuser('editor', '', '{PASSWORD}'); print()"
    )
    site.host.put(ROOT / "molecule/wagtail/tests/upload.py", "/usr/local/lib/upload.py")
    address = site.host.sh(f"python3 /usr/local/lib/upload.py site.example.org editor {PASSWORD}").stdout.strip()
    assert address.startswith("/media/images/")
    assert site.ask(address, "-o", "/dev/null")[0] == 200
    assert site.ask("/media/images/", "-o", "/dev/null")[0] == 403
    assert_strict(site, "0.2")
