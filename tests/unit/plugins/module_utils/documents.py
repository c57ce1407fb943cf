# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One good document of each schema, for the tests of every room."""

from __future__ import annotations

import typing as t

SHA = "0123456789abcdef" * 4
MANIFEST: dict[str, t.Any] = {
    "schema": "containerless.manifest/v1",
    "project": "shop",
    "version": "1.0.0.g1a2b3c4d",
    "source": {"commit": "a" * 40, "tree": "b" * 40, "dirty": False},
    "source_date_epoch": 1700000000,
    "tar": {"sha256": SHA, "size": 59432960},
    "tree": {"sha256": SHA, "files": 6251, "bytes": 48100000},
    "python": {
        "implementation": "cpython",
        "version": "3.11",
        "soabi": "cpython-311-x86_64-linux-gnu",
        "magic": "a70d0d0a",
    },
    "platform": {"machine": "x86_64", "libc": "glibc", "libc_min": "2.17"},
    "distributions": [
        {"name": "django", "version": "5.2.19", "file": "django-5.2.19-py3-none-any.whl", "sha256": SHA},
        {
            "name": "docopt",
            "version": "0.6.2",
            "file": "docopt-0.6.2-py2.py3-none-any.whl",
            "sha256": SHA,
            "built_from": {"kind": "sdist", "file": "docopt-0.6.2.tar.gz", "sha256": SHA},
        },
    ],
    "processes": {"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "manage.py", "worker"]},
    "timers": {"cleanup": {"argv": ["python", "manage.py", "clearsessions"], "schedule": "daily"}},
    "static": {"root": "static", "files": 255},
    "django": {
        "version": "5.2.19",
        "settings_module": "shop.settings",
        "manage": "app/manage.py",
        "settings": ["DEBUG", "SECRET_KEY"],
        "migrations": [{"app": "shop", "name": "0001_initial", "replaces": [], "class": "expand"}],
    },
    "lock": {"kind": "requirements", "sha256": SHA},
    "sbom": {"sha256": SHA},
}
INDEX: dict[str, t.Any] = {
    "schema": "containerless.index/v1",
    "project": "shop",
    "version": "1.0.0.g1a2b3c4d",
    "commit": "a" * 40,
    "variants": [
        {
            "content_id": SHA,
            "python": "3.11",
            "soabi": "cpython-311-x86_64-linux-gnu",
            "machine": "x86_64",
            "libc": "glibc",
            "libc_min": "2.17",
        }
    ],
}
RELEASE: dict[str, t.Any] = {
    "schema": "containerless.release/v1",
    "project": "shop",
    "version": "1.0.0.g1a2b3c4d",
    "index_id": SHA,
    "config": {"env": {"DJANGO_SETTINGS_MODULE": "shop.settings"}, "secrets": ["SECRET_KEY"]},
    "templates": SHA,
}
ACTIVE = {"schema": "containerless.active/v1", "activation": 3, "release": "1.0-0123456789ab", "content_id": SHA}
LEDGER = {
    "schema": "containerless.ledger/v1",
    "seq": 1,
    "prev": "0" * 64,
    "time": "2026-11-22T12:00:00Z",
    "state": "staged",
    "activation": 1,
    "release": "1.0-0123456789ab",
    "content_id": SHA,
    "run": "r1",
    "who": "ops",
    "why": "",
}
REF = {"activation": 1, "release": "1.0-0123456789ab", "content_id": SHA}
JOURNAL = {
    "schema": "containerless.journal/v1",
    "kind": "release",
    "run": "r1",
    "step": "commit",
    "from": None,
    "to": REF,
    "boot_id": "01234567-89ab-cdef-0123-456789abcdef",
    "who": "ops",
    "deadline": 1234,
    "pending": False,
    "held": False,
    "one_way": False,
    "policy": {"drain": 30},
}
CHANNEL = {"schema": "containerless.channel/v1", "project": "shop", "version": "1.0", "index_id": SHA}
TEST_RECORD = {
    "schema": "containerless.test-record/v1",
    "content_id": SHA,
    "level": "default",
    "config_class": "0123456789ab",
    "passed": True,
    "machine": {"image": "debian12", "systemd": 252, "python": "3.11", "backend": "nspawn"},
    "checks": [{"name": "healthy", "passed": True, "detail": "200"}],
    "time": "2026-11-22T12:00:00Z",
    "expires": "2999-11-22T12:00:00Z",
}
GOOD: dict[str, dict[str, t.Any]] = {
    "manifest": MANIFEST,
    "index": INDEX,
    "release": RELEASE,
    "active": ACTIVE,
    "ledger": LEDGER,
    "journal": JOURNAL,
    "channel": CHANNEL,
    "test-record": TEST_RECORD,
}
