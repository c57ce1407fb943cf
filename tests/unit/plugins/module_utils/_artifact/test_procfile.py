# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import procfile
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from hypothesis import given, settings, strategies as st

WEB = "web: gunicorn shop.wsgi\n"

TAKEN = [
    (WEB, {"web": ["gunicorn", "shop.wsgi"]}),
    ("# comment\n\n  \t\n" + WEB, {"web": ["gunicorn", "shop.wsgi"]}),
    ("web:gunicorn   shop.wsgi\t--workers 2\r\n", {"web": ["gunicorn", "shop.wsgi", "--workers", "2"]}),
    (
        WEB + "worker: python manage.py worker --name 'a b' \"c d\" e\\ f\n",
        {"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "manage.py", "worker", "--name", "a b", "c d", "e f"]},
    ),
    (
        'web: gunicorn shop.wsgi --access-logformat \'%(h)s "%(r)s" | $x\' -n "a|b (c)" --statsd-prefix a#b\n',
        {
            "web": [
                "gunicorn",
                "shop.wsgi",
                "--access-logformat",
                '%(h)s "%(r)s" | $x',
                "-n",
                "a|b (c)",
                "--statsd-prefix",
                "a#b",
            ]
        },
    ),
    ("web: gunicorn a --forwarded-allow-ips=*", {"web": ["gunicorn", "a", "--forwarded-allow-ips=*"]}),
    ("web: gunicorn a \\$PORT", {"web": ["gunicorn", "a", "$PORT"]}),
    *(
        (f"release: {command}\n{WEB}", {"web": ["gunicorn", "shop.wsgi"]})
        for command in (
            "python manage.py migrate",
            "python3 manage.py migrate --noinput",
            "python ./manage.py migrate --no-input",
            "python backend/manage.py migrate",
        )
    ),
]


@pytest.mark.parametrize(("text", "processes"), TAKEN)
def test_a_process_is_an_argv(text: str, processes: dict[str, list[str]]) -> None:
    assert procfile.parse(text) == processes


REFUSED_LINES = [
    ("worker: python a.py | tee log", r"\| needs a shell"),
    ("worker: cd app && python a.py", "& needs a shell"),
    ("worker: python a.py; python b.py", "; needs a shell"),
    ("worker: python a.py < in", "< needs a shell"),
    ("worker: python a.py > out", "> needs a shell"),
    ("worker: python a.py `date`", "` needs a shell"),
    ("worker: python a.py $(date)", r"\$ needs a shell"),
    ("worker: python a.py $PORT", r"\$ needs a shell"),
    ("worker: python a.py ${PORT:-80}", r"\$ needs a shell"),
    ('worker: python a.py "0.0.0.0:$PORT"', r"\$ needs a shell"),
    ('worker: python a.py "`date`"', "` needs a shell"),
    ("worker: (python a.py)", r"\( needs a shell"),
    ("worker: python a.py & ", "& needs a shell"),
    ("worker: FOO=bar python a.py", "variable FOO belongs into app_release_env"),
    ("worker: FOO=", "variable FOO belongs into app_release_env"),
    ("worker: python a.py # twice a day", "a comment stands on a line of its own"),
    ("worker: python 'a.py", "no closing quotation"),
    ('worker: python "a.py', "no closing quotation"),
    ("worker: python a.py \\", "no escaped character"),
    ("worker:", "the command is empty"),
    ("worker: ''", "the command is empty"),
    ("web: gunicorn other.wsgi", "web stands there twice"),
    ("celery-beat: celery beat", "lower-case letter followed by at most 23"),
    ("Worker: celery beat", "lower-case letter followed by at most 23"),
    ("a" * 25 + ": celery", "lower-case letter followed by at most 23"),
    ("worker", "a line is 'name: command'"),
    ("worker = python a.py", "a line is 'name: command'"),
    (": python a.py", "a line is 'name: command'"),
    ("my worker: python a.py", "a line is 'name: command'"),
    ("worker: python a.py \x00", "a line is 'name: command'"),
    ("worker: python a\x1b[2J.py", "a line is 'name: command'"),
    ("release: python manage.py migrate --fake", "a release runs the migrations and nothing else"),
    ("release: python manage.py collectstatic", "a release runs the migrations and nothing else"),
    ("release: ./deploy.sh", "a release runs the migrations and nothing else"),
    ("release: python manage.py", "a release runs the migrations and nothing else"),
    ("release: python manage.py migrate && true", "& needs a shell"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED_LINES)
def test_a_refusal_names_line_and_reason(line: str, reason: str) -> None:
    with pytest.raises(ContainerlessError, match=rf"^Procfile line 3 \(.*\): .*{reason}") as caught:
        procfile.parse(f"# ours\n{WEB}{line}\n")
    assert repr(line.strip()) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_release_stands_there_once() -> None:
    with pytest.raises(ContainerlessError, match="line 2 .*release stands there twice"):
        procfile.parse(f"release: python manage.py migrate\nrelease: python manage.py migrate\n{WEB}")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "worker: python manage.py worker\n", "release: python manage.py migrate"]
)
def test_a_project_has_a_web_process(text: str) -> None:
    with pytest.raises(ContainerlessError, match="names no process web; add a line"):
        procfile.parse(text)


WHERE = "[tool.containerless.processes]"


def test_a_table_obeys_the_same_rules() -> None:
    table = {"web": "gunicorn shop.wsgi", "worker": "python -m a 'b c'", "release": "python manage.py migrate"}
    found = procfile.from_table(table, WHERE)
    assert found == {"web": ["gunicorn", "shop.wsgi"], "worker": ["python", "-m", "a", "b c"]}


@pytest.mark.parametrize(
    ("name", "command", "fault"),
    [
        ("Worker", "python a.py", "Worker of .*lower-case letter"),
        ("worker", "python a.py | tee log", r"worker of .*\| needs a shell"),
        ("worker", "python a.py\nb", "worker of .*control character"),
        ("worker", "", "worker of .*the command is empty"),
        ("release", "./deploy.sh", "release of .*migrations and nothing else"),
    ],
)
def test_a_refusal_of_a_table_names_the_key(name: str, command: str, fault: str) -> None:
    with pytest.raises(ContainerlessError, match=fault) as caught:
        procfile.from_table({"web": "gunicorn shop.wsgi", name: command}, WHERE)
    assert WHERE in str(caught.value)


def test_a_table_has_a_web_process_too() -> None:
    with pytest.raises(ContainerlessError, match=r"containerless.processes\] names no process web; add a line"):
        procfile.from_table({"worker": "python a.py"}, WHERE)


COMMANDS = st.text(st.sampled_from("ab -=/.'\"\\|$#;&\t\x00é"), max_size=12)


@settings(deadline=None)
@given(COMMANDS)
def test_what_one_spelling_takes_the_other_takes(command: str) -> None:
    """A process means the same in the Procfile and in a table, and no command ends in anything but argv or refusal."""

    def taken(read: t.Callable[[], dict[str, list[str]]]) -> list[str]:
        try:
            return read()["web"]
        except ContainerlessError:
            return []

    in_table = taken(lambda: procfile.from_table({"web": command.strip()}, WHERE))
    assert taken(lambda: procfile.parse(f"web: {command}")) == in_table


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), min_size=1))
def test_a_quoted_argv_comes_back(argv: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in ["python", *argv])
    assert procfile.command(quoted, "app_build_env") == ["python", *argv]
