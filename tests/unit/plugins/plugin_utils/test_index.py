# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import configparser
import typing as t
from pathlib import Path

import pytest
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.plugin_utils import _index
from ansible_collections.containerless.django.plugins.plugin_utils._index import Client, Index, Settings

from ..module_utils.distributions import make_wheel
from .simple_index import PASSWORD, USER, SimpleIndex

WHEEL = "thing-1.0-py3-none-any.whl"


def environment(folder: Path, config: dict[str, dict[str, str]], **more: str) -> dict[str, str]:
    """Return an environment in which pip knows nothing but this; a machine's own /etc/pip.conf is read first."""
    parser = configparser.ConfigParser()
    parser.read_dict({"global": dict.fromkeys(_index._OPTIONS, "")})
    parser["global"]["no-index"] = "false"
    parser.read_dict(config)
    with (folder / "pip.conf").open("w") as out:
        parser.write(out)
    return {"PIP_CONFIG_FILE": str(folder / "pip.conf"), "HOME": str(folder), "XDG_CONFIG_DIRS": str(folder), **more}


def take(settings: Settings, dest: Path) -> str:
    with Client(settings) as client:
        (file,) = client.files("Thing")
        return client.fetch(file, dest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


@pytest.mark.parametrize("json", [True, False], ids=["PEP 691", "PEP 503"])
def test_an_index_behind_a_password_is_read_with_the_address_of_the_option(
    folder: Path, tmp_path: Path, *, json: bool
) -> None:
    digest = make_wheel(folder, "thing")
    with SimpleIndex(folder, json=json, closed=True) as index:
        settings = Settings(indexes=(index.secret_url,))
        with Client(settings) as client:
            (file,) = client.files("Thing")
            assert client.files("other") == []
        assert (file.name, file.sha256, file.host) == (WHEEL, digest, "127.0.0.1")
        assert take(settings, tmp_path / "came") == digest
        assert not index.refused


def test_a_netrc_serves_an_address_without_credentials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = make_wheel(folder, "thing")
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    with SimpleIndex(folder, closed=True) as index:
        settings = Settings(indexes=(index.url,))
        monkeypatch.setenv("NETRC", str(tmp_path / "nothing"))
        fault = r"the package index 127.0.0.1 refuses these credentials, or wants some \(401\): .*app_build_index_url"
        with pytest.raises(ContainerlessError, match=fault):
            take(settings, tmp_path / "came")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        assert take(settings, tmp_path / "came") == digest


def test_no_error_and_no_repr_holds_the_address(folder: Path, tmp_path: Path) -> None:
    with SimpleIndex(folder, closed=True) as index:
        wrong = index.secret_url.replace(USER, "token-of-a-person")
    index_option = Index(url=wrong, options=(f"--extra-index-url {wrong}",))
    shown = [repr(index_option), repr(Settings(indexes=(wrong,), links=(wrong,), proxy=wrong))]
    with pytest.raises(ContainerlessError, match="the package index 127.0.0.1 can't be reached") as caught:
        take(Settings(indexes=(wrong,)), tmp_path / "came")
    for text in (*shown, str(caught.value)):
        assert "token-of-a-person" not in text
        assert "geheim" not in text


def test_a_page_that_is_no_index_is_refused(tmp_path: Path) -> None:
    class Portal(SimpleIndex):
        def answer(self, path: str) -> tuple[str, bytes]:
            return "application/pdf", b"welcome"

    with Portal(tmp_path) as index, pytest.raises(ContainerlessError, match="answers with no page of a simple index"):
        take(Settings(indexes=(index.url,)), tmp_path / "came")


def test_a_wheelhouse_alone_is_asked(folder: Path, tmp_path: Path) -> None:
    digest = make_wheel(folder, "thing")
    settings = Index(
        url="http://127.0.0.1:9", wheelhouse=folder, options=("--index-url http://127.0.0.1:9",)
    ).settings()
    assert (settings.indexes, settings.links) == ((), (str(folder),))
    assert take(settings, tmp_path / "came") == digest
    with pytest.raises(ContainerlessError, match="app_build_wheelhouse .*/none is not a folder on the control node"):
        Index(wheelhouse=tmp_path / "none").settings()


def test_folders_and_files_of_pages_are_read_without_a_server(folder: Path, tmp_path: Path) -> None:
    digest = make_wheel(folder, "thing")
    simple = tmp_path / "simple" / "thing"
    simple.mkdir(parents=True)
    (simple / "index.html").write_text(f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>')
    assert take(Settings(indexes=((tmp_path / "simple").as_uri(),)), tmp_path / "came") == digest
    assert take(Settings(links=(folder.as_uri(),)), tmp_path / "came") == digest


DEFAULT = _index.PYPI_SIMPLE_ENDPOINT


@pytest.mark.parametrize(
    ("index", "config", "variables", "expected"),
    [
        (Index(), {}, {}, {"indexes": (DEFAULT,)}),
        (
            Index(),
            {
                "global": {"index-url": "https://a/simple", "extra-index-url": "https://b https://c"},
                "install": {"proxy": "http://no"},
            },
            {},
            {"indexes": ("https://a/simple", "https://b", "https://c")},
        ),
        (
            Index(),
            {"global": {"index-url": "https://a", "cert": "/a.pem"}, "download": {"index-url": "https://b"}},
            {"PIP_INDEX_URL": "https://c", "PIP_TRUSTED_HOST": "c d", "PIP_PROXY": "http://p"},
            {"indexes": ("https://c",), "trusted": ("c", "d"), "cert": "/a.pem", "proxy": "http://p"},
        ),
        (
            Index(url="https://u:p@mine/simple/", options=("--index-url https://lock", "-f /links")),
            {"global": {"index-url": "https://a", "extra-index-url": "https://b https://mine/simple"}},
            {},
            {"indexes": ("https://u:p@mine/simple/", "https://b"), "links": ("/links",)},
        ),
        (
            Index(options=("-i https://${TOKEN}@lock", "--extra-index-url=https://${NONE}x")),
            {},
            {"TOKEN": "t"},
            {"indexes": ("https://t@lock", "https://${NONE}x")},
        ),
        (Index(), {"global": {"no-index": "true", "find-links": "/l /m"}}, {}, {"links": ("/l", "/m")}),
    ],
    ids=["nothing", "global", "environment", "option", "lock", "no-index"],
)
def test_option_then_lock_then_pip_say_where_to_look(
    tmp_path: Path,
    index: Index,
    config: dict[str, dict[str, str]],
    variables: dict[str, str],
    expected: dict[str, t.Any],
) -> None:
    assert index.settings(environment(tmp_path, config, **variables)) == Settings(**expected)


def test_uv_looks_in_the_same_places_in_the_same_order() -> None:
    options, env = Settings(indexes=("https://u:p@a", "https://b"), links=("/l",), cert="/c").uv()
    assert options == []
    assert (env["UV_INDEX"], env["UV_DEFAULT_INDEX"], env["UV_FIND_LINKS"]) == ("https://u:p@a", "https://b", "/l")
    assert env["SSL_CERT_FILE"] == "/c"
    assert Settings(links=("/l",)).uv()[0] == ["--no-index"]
