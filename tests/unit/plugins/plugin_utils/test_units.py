# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import procfile
from ansible_collections.containerless.django.plugins.module_utils._core.errors import ContainerlessError
from ansible_collections.containerless.django.plugins.module_utils._core.names import Layout
from ansible_collections.containerless.django.plugins.module_utils._release import learn
from ansible_collections.containerless.django.plugins.plugin_utils import _units
from ansible_collections.containerless.django.plugins.plugin_utils._units import (
    Context,
    Templates,
    environment_quote,
    unit_quote,
)
from hypothesis import given, settings, strategies

from ..module_utils.documents import MANIFEST, SHA

CONFIG: dict[str, Any] = {
    "env": {"DJANGO_SETTINGS_MODULE": "shop.settings"},
    "secrets": ["SECRET_KEY"],
    "secrets_as": "credentials",
    "health": {"timeout": 60, "headers": {}, "commands": {}},
    "scale": {},
    "listen": "",
    "listen_connections": 1024,
    "proxy_group": "www-data",
    "start_timeout": 90,
    "stop_timeout": 30,
    "stop_timeouts": {},
    "task_timeout": 600,
    "sandbox": {
        "profile": "strict",
        "limits": {"memory_max": "512M", "memory_high": "", "tasks_max": 256, "cpu_quota": "200%"},
        "bind_read_only": ["/run/postgresql"],
    },
}
DISTRIBUTIONS = [
    {"name": name, "version": version, "file": f"{name}.whl", "sha256": SHA}
    for name, version in (("django", "5.2.19"), ("gunicorn", "23.0.0"))
]
SYSTEMD = (252, 257)


@pytest.fixture
def templates(root: Path) -> Templates:
    return Templates(release=root / "roles/app_release/templates", sandbox=root / "roles/app_sandbox/templates")


@pytest.fixture
def context(root: Path) -> Context:
    processes = procfile.parse((root / "tests/fixtures/shop/base/Procfile").read_text("utf-8"))
    return Context(
        layout=Layout("shop"),
        release_id="1.0.0.g1a2b3c4d-0123456789ab",
        content_id=SHA,
        manifest={**MANIFEST, "processes": processes, "distributions": DISTRIBUTIONS},
        config=CONFIG,
        systemd_version=252,
    )


def change(context: Context, **config: Any) -> Context:
    return dataclasses.replace(context, config={**context.config, **config})


def settings_of(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


# Quoting: systemd's own rules, told again here in short.

_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "s": " ",
}


def words(line: str, *, dollars: bool) -> list[str]:
    """Return what systemd makes of a line: extract_first_word() with quotes and C escapes, then specifiers, then $."""
    assert not re.search(r"[\n\r\0]", line), "read_line() would end the line here"
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        word, quote = "", ""
        while at < len(line) and (quote or line[at] not in " \t"):
            char = line[at]
            if char == "\\":
                kind = line[at + 1]
                size = {"x": 2, "u": 4, "U": 8}.get(kind)
                if size:
                    word += chr(int(line[at + 2 : at + 2 + size], 16))
                    at += size
                else:
                    word += _ESCAPES[kind]
                at += 1
            elif quote and char == quote:
                quote = ""
            elif not quote and char in "\"'":
                quote = char
            else:
                word += char
            at += 1
        assert not quote, "the quote is open"
        found.append(word)
    plain = [re.sub(r"%(.?)", lambda match: {"%": "%"}[match[1]], word) for word in found]
    return [re.sub(r"\$(.?)", lambda match: {"$": "$"}[match[1]], word) for word in plain] if dollars else plain


# Every character but those that end a line of a unit, for which see below.
TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))
EXAMPLES = [
    "",
    " ",
    "a b",
    "%i",
    "%%",
    "$HOME",
    "${HOME}",
    "$$",
    '"',
    "'",
    "\\",
    "\\n",
    "\\x41",
    "\n",
    "\t",
    ";",
    "#",
    "-a",
    "\u00fc",
]


@settings(database=None, deadline=None)
@given(strategies.lists(TEXT, min_size=1))
def test_unit_quote_is_read_back(argv: list[str]) -> None:
    assert words(" ".join(map(unit_quote, argv)), dollars=True) == argv


@settings(database=None, deadline=None)
@given(TEXT)
def test_environment_quote_is_read_back(value: str) -> None:
    assert words(environment_quote(f"A={value}"), dollars=False) == [f"A={value}"]


@pytest.mark.parametrize("value", EXAMPLES)
def test_quotes(value: str) -> None:
    assert words(f"{unit_quote(value)} {unit_quote('x')}", dollars=True) == [value, "x"]
    assert words(environment_quote(f"A={value}"), dollars=False) == [f"A={value}"]


@pytest.mark.parametrize("quote", [unit_quote, environment_quote])
def test_a_carriage_return_does_not_begin_a_line_of_its_own(quote: Any) -> None:
    assert words(quote("A=x\rExecStartPre=/bin/sh"), dollars=False) == ["A=x\rExecStartPre=/bin/sh"]


# Rendering.


@pytest.mark.parametrize("systemd_version", SYSTEMD)
def test_the_units_of_a_release(templates: Templates, context: Context, systemd_version: int) -> None:
    units, boot = _units.render(templates, dataclasses.replace(context, systemd_version=systemd_version))
    services = ["task.applied", "task.migrate", "timer.cleanup", "web", "worker"]
    names = [f"containerless-shop-{name}@.service" for name in services]
    others = ["containerless-shop-timer.cleanup@.timer", "containerless-shop-web@.socket"]
    assert sorted(units) == sorted([*names, *(f"{name}.d/50-sandbox.conf" for name in names), *others])
    web = units["containerless-shop-web@.service"]
    tree = f"/srv/containerless/shop/trees/{SHA}"
    assert settings_of(web, "ExecStart")[0].startswith(f"{tree}/venv/bin/python {tree}/venv/bin/gunicorn ")
    assert settings_of(web, "Type") == ["notify"]
    assert settings_of(units["containerless-shop-worker@.service"], "Type") == ["exec"]
    assert settings_of(units["containerless-shop-worker@.service"], "Requires") == []
    assert settings_of(web, "Requires") == ["containerless-shop-web@%i.socket"]
    assert settings_of(web, "RestartSteps") == []
    worker = units["containerless-shop-worker@.service"]
    assert settings_of(worker, "RestartSteps") == (["5"] if systemd_version >= 254 else [])
    assert settings_of(units["containerless-shop-web@.socket"], "ListenStream") == [
        "/run/containerless/shop/%i/web.sock"
    ]
    assert settings_of(boot, "ExecStart") == ["/usr/local/bin/containerless boot shop"]
    for name in names:
        assert (settings_of(units[name], "User"), settings_of(units[name], "Slice")) == (
            ["cl-shop"],
            ["containerless-shop.slice"],
        )
        assert settings_of(units[name], "LoadCredential") == [
            "SECRET_KEY:/run/containerless/shop/%i/secrets/SECRET_KEY"
        ]


def test_no_directive_is_empty_by_accident(templates: Templates, context: Context) -> None:
    units, boot = _units.render(templates, context)
    texts = [boot, *(text for name, text in units.items() if not name.endswith(".conf"))]
    lines = [line for text in texts for line in text.splitlines() if line and not line.startswith(("#", "["))]
    assert [line for line in lines if not re.fullmatch(r"[A-Z][A-Za-z]+=\S.*", line)] == []


SECRETS = [
    ({"secrets_as": "env"}, [], ["/run/containerless/shop/%i/secrets.env"]),
    ({"secrets_as": "env", "secrets": []}, [], []),
    ({"secrets": []}, [], []),
]


@pytest.mark.parametrize(("config", "credentials", "file"), SECRETS)
def test_secrets_come_one_way(
    templates: Templates, context: Context, config: dict[str, Any], credentials: list[str], file: list[str]
) -> None:
    units, _boot = _units.render(templates, change(context, **config))
    web = units["containerless-shop-web@.service"]
    assert (settings_of(web, "LoadCredential"), settings_of(web, "EnvironmentFile")) == (credentials, file)


def test_a_project_without_django_has_no_tasks(templates: Templates, context: Context) -> None:
    bare = dataclasses.replace(context, manifest={**context.manifest, "django": None}, config={**CONFIG, "env": {}})
    units, _boot = _units.render(templates, bare)
    assert [name for name in units if "task." in name] == []
    assert "DJANGO_SETTINGS_MODULE" not in units["containerless-shop-web@.service"]


def test_env_goes_before_what_the_artifact_was_built_with(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(
        templates, change(context, env={"DJANGO_SETTINGS_MODULE": "shop.live", "GREETING": "a $b %c"})
    )
    values = settings_of(units["containerless-shop-web@.service"], "Environment")
    assert "DJANGO_SETTINGS_MODULE=shop.live" in values
    assert '"GREETING=a $b %%c"' in values


def test_no_value_of_a_host_is_taken_for_a_template(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, env={"A": "{{ app }}"}))
    assert '"A={{ app }}"' in settings_of(units["containerless-shop-web@.service"], "Environment")


@pytest.mark.parametrize("systemd_version", SYSTEMD)
def test_the_same_inputs_are_the_same_text(templates: Templates, context: Context, systemd_version: int) -> None:
    one = dataclasses.replace(change(context, env={"A": "1", "B": "2"}), systemd_version=systemd_version)
    other = dataclasses.replace(change(context, env={"B": "2", "A": "1"}), systemd_version=systemd_version)
    assert _units.render(templates, one) == _units.render(templates, other)


def test_the_same_inputs_are_the_same_text_whatever_the_case(templates: Templates, context: Context) -> None:
    one, other = change(context, env={"A": "1", "a": "2"}), change(context, env={"a": "2", "A": "1"})
    assert _units.render(templates, one) == _units.render(templates, other)


def test_two_apps_share_nothing(templates: Templates, context: Context) -> None:
    one, boot = _units.render(templates, context)
    other, other_boot = _units.render(templates, dataclasses.replace(context, layout=Layout("shop_admin")))
    assert set(one) & set(other) == set()
    ours = re.compile(r"(?:/srv|/etc|/run|/var/lib|[ =])/?containerless[/-]shop(?![a-z0-9_])|cl-shop(?![a-z0-9_])")
    assert ours.search("\n".join([boot, *one.values()]))
    assert not ours.search("\n".join([other_boot, *other.values()]))


def test_a_forgotten_variable_is_an_error(templates: Templates, context: Context, tmp_path: Path) -> None:
    copy = copied(templates, tmp_path)
    with (copy.release / "web.socket.j2").open("a", encoding="utf-8") as source:
        source.write("X={{ not_known }}\n")
    with pytest.raises(jinja2.UndefinedError, match="not_known"):
        _units.render(copy, context)


# Scale, timers, listening, health.


def test_further_instances_share_the_socket_of_the_first(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, scale={"web": 2, "worker": 0}))
    first, second = units["containerless-shop-web@.service"], units["containerless-shop-web.2@.service"]
    assert [name for name in units if "worker" in name or "web.3" in name] == []
    assert (settings_of(first, "Sockets"), settings_of(second, "Sockets")) == ([], ["containerless-shop-web@%i.socket"])
    for key, more in (("Requires", []), ("After", ["containerless-shop-gate.service"])):
        assert settings_of(first, key) == settings_of(second, key) == ["containerless-shop-web@%i.socket", *more]
    assert settings_of(first, "ExecStart") == settings_of(second, "ExecStart")
    numbers = [settings_of(text, "Environment")[-1] for text in (first, second)]
    assert numbers == ["CONTAINERLESS_INSTANCE=1", "CONTAINERLESS_INSTANCE=2"]
    drop_ins = [units[f"containerless-shop-{name}@.service.d/50-sandbox.conf"] for name in ("web", "web.2")]
    assert drop_ins[0] == drop_ins[1]


def under_granian(context: Context, **config: Any) -> Context:
    granian = {"name": "granian", "version": "2.8.9", "file": "granian.whl", "sha256": SHA}
    web = {"web": ["granian", "--interface", "wsgi", "shop.wsgi"]}
    manifest = {**context.manifest, "distributions": [*DISTRIBUTIONS, granian]}
    return change(dataclasses.replace(context, manifest={**manifest, "processes": web}), **config)


def test_a_server_that_inherits_no_socket_is_behind_a_proxy(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, under_granian(context))
    web, proxy, socket = (
        units[f"containerless-shop-{name}"] for name in ("web@.service", "web.proxy@.service", "web@.socket")
    )
    own = "/run/containerless/shop/%i/web/own.sock"
    assert learn._variable([web], "GRANIAN_UDS", 7) == own.replace("%i", "7")
    assert f"GRANIAN_UDS={own}" in settings_of(web, "Environment")
    assert settings_of(socket, "Service") == ["containerless-shop-web.proxy@%i.service"]
    assert settings_of(proxy, "ExecStart")[0].endswith(f"-proxyd --connections-max=1024 {own}")
    assert settings_of(web, "Wants") == ["containerless-shop-web.proxy@%i.service"]
    assert settings_of(proxy, "PartOf") == settings_of(proxy, "Wants") == ["containerless-shop-web@%i.service"]
    # A request that comes before the server was started waits behind the gate, as with an inherited socket.
    assert "containerless-shop-gate.service" in settings_of(web, "After")
    drop_in = units["containerless-shop-web@.service.d/50-sandbox.conf"]
    assert settings_of(drop_in, "RuntimeDirectory") == ["", "containerless/shop/%i/web"]
    assert "/run/containerless/shop/%i/web" in settings_of(drop_in, "NoExecPaths")
    others = [text for name, text in units.items() if "task." in name and name.endswith(".conf")]
    assert others
    assert {tuple(settings_of(text, "RuntimeDirectory")) for text in others} == {("",)}


def test_each_instance_has_a_proxy_on_the_one_socket(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, under_granian(context, scale={"web": 2}))
    second = units["containerless-shop-web.proxy2@.service"]
    assert settings_of(second, "Sockets") == ["containerless-shop-web@%i.socket"]
    assert settings_of(second, "ExecStart")[0].endswith(" /run/containerless/shop/%i/web.2/own.sock")
    assert settings_of(second, "PartOf") == ["containerless-shop-web.2@%i.service"]
    assert settings_of(units["containerless-shop-web.2@.service"], "Sockets") == []


def test_no_server_that_inherits_its_socket_has_a_proxy(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, context)
    assert [name for name in units if "proxy" in name] == []
    assert settings_of(units["containerless-shop-web@.socket"], "Service") == []


def test_further_workers_have_no_socket(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, scale={"worker": 2}))
    second = units["containerless-shop-worker.2@.service"]
    assert [settings_of(second, key) for key in ("Sockets", "Requires", "After")] == [[], [], []]


def test_an_unknown_process_is_refused_once_the_artifact_is_known(templates: Templates, context: Context) -> None:
    with pytest.raises(ContainerlessError, match="app_release_scale names 'cleanup', which is a timer"):
        _units.render(templates, change(context, scale={"cleanup": 2}))


def test_a_timer_starts_a_task_in_the_sandbox(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, task_timeout=700))
    timer, service = (units[f"containerless-shop-timer.cleanup@.{kind}"] for kind in ("timer", "service"))
    assert settings_of(timer, "OnCalendar") == ["daily"]
    assert settings_of(timer, "Unit") == ["containerless-shop-timer.cleanup@%i.service"]
    assert settings_of(timer, "Persistent") == ["no"]
    python = f"/srv/containerless/shop/trees/{SHA}/venv/bin/python"
    assert settings_of(service, "ExecStart") == [f"{python} manage.py clearsessions"]
    assert (settings_of(service, "Type"), settings_of(service, "TimeoutStartSec")) == (["oneshot"], ["700"])
    assert settings_of(service, "Environment") == settings_of(
        units["containerless-shop-task.migrate@.service"], "Environment"
    )
    worker = units["containerless-shop-worker@.service.d/50-sandbox.conf"]
    assert units["containerless-shop-timer.cleanup@.service.d/50-sandbox.conf"] == worker


def test_a_health_command_is_a_task_in_the_sandbox(templates: Templates, context: Context) -> None:
    health = {"timeout": 20, "commands": {"worker": ["python", "manage.py", "check_worker", "50%"]}}
    units, _boot = _units.render(templates, change(context, health=health))
    task = units["containerless-shop-task.healthy_worker@.service"]
    assert settings_of(task, "ExecStart")[0].endswith('/venv/bin/python manage.py check_worker "50%%"')
    assert settings_of(task, "TimeoutStartSec") == ["20"]
    assert "containerless-shop-task.healthy_worker@.service.d/50-sandbox.conf" in units
    none, _boot = _units.render(templates, change(context, health=health, scale={"worker": 0}))
    assert [name for name in none if "healthy" in name] == []


def test_a_health_command_is_no_shell(templates: Templates, context: Context) -> None:
    health = {"timeout": 20, "commands": {"web": ["bash", "-c", "true"]}}
    with pytest.raises(ContainerlessError, match="^app_release_health_commands: .* starts 'bash'"):
        _units.render(templates, change(context, health=health))


def test_web_is_asked_by_a_command_that_is_no_server(templates: Templates, context: Context) -> None:
    health = {"timeout": 20, "commands": {"web": ["python", "manage.py", "check"]}}
    units, _boot = _units.render(templates, change(context, health=health))
    assert settings_of(units["containerless-shop-task.healthy_web@.service"], "ExecStart")[0].endswith(
        "manage.py check"
    )


def test_a_process_has_its_own_time_to_stop(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, stop_timeouts={"worker": 600}, scale={"worker": 2}))
    found = {
        name: settings_of(units[f"containerless-shop-{name}@.service"], "TimeoutStopSec")
        for name in ("web", "worker", "worker.2")
    }
    assert found == {"web": ["30"], "worker": ["600"], "worker.2": ["600"]}


def test_nothing_listens_unless_asked(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, context)
    assert [name for name in units if "listen" in name] == []


def test_one_socket_listens_for_every_activation(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, change(context, listen="[::]:8000", listen_connections=100))
    socket, service = units["containerless-shop-listen.socket"], units["containerless-shop-listen.service"]
    assert settings_of(socket, "ListenStream") == ["[::]:8000"]
    assert settings_of(service, "ExecStart") == [
        "/usr/lib/systemd/systemd-socket-proxyd --connections-max=100 /run/containerless/shop/web.sock"
    ]
    assert settings_of(service, "Requires") == settings_of(service, "After") == ["containerless-shop-listen.socket"]
    assert (settings_of(service, "DynamicUser"), settings_of(service, "SupplementaryGroups")) == (["yes"], ["www-data"])
    assert settings_of(service, "LimitNOFILE") == ["664"]
    # It outlives activations: a release that changes nothing here must not change a letter.
    assert "%i" not in socket + service
    assert context.release_id not in socket + service


def test_static_files_are_those_of_the_kept_releases(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, context)
    served = f"/srv/containerless/shop/served/{SHA}"
    for name in ("web", "worker", "task.migrate", "timer.cleanup"):
        assert f"STATIC_ROOT={served} " in units[f"containerless-shop-{name}@.service"]
        assert served in settings_of(
            units[f"containerless-shop-{name}@.service.d/50-sandbox.conf"], "BindReadOnlyPaths"
        )


@pytest.mark.parametrize("kind", ["socket", "service"])
def test_nothing_that_answers_is_ever_given_up(templates: Templates, context: Context, kind: str) -> None:
    units, _boot = _units.render(templates, change(context, listen="[::]:8000", scale={"web": 2}))
    answering = [text for name, text in units.items() if re.search(rf"-(web|listen)[.2]*@?\.{kind}$", name)]
    assert len(answering) == (2 if kind == "socket" else 3)
    for text in answering:
        assert settings_of(text.partition(f"[{kind.capitalize()}]")[0], "StartLimitIntervalSec") == ["0"]
        assert settings_of(text, "TriggerLimitIntervalSec") == (["0"] if kind == "socket" else [])
        assert settings_of(text, "Restart") == (["always"] if kind == "service" else [])


# Revision of the templates.


def copied(templates: Templates, tmp_path: Path) -> Templates:
    made = Templates(tmp_path / "app_release/templates", tmp_path / "app_sandbox/templates")
    shutil.copytree(templates.release, made.release)
    shutil.copytree(templates.sandbox, made.sandbox)
    return made


def test_the_revision_is_of_the_sources_alone(templates: Templates, tmp_path: Path) -> None:
    assert copied(templates, tmp_path).revision() == templates.revision()


def test_any_change_of_any_template_is_another_revision(templates: Templates, tmp_path: Path) -> None:
    copy = copied(templates, tmp_path)
    seen = {copy.revision()}
    sources = [*copy.release.glob("*.j2"), *copy.sandbox.glob("*.j2")]
    for source in sources:
        text = source.read_text("utf-8")
        source.write_text(text + " ", "utf-8")
        seen.add(copy.revision())
        source.write_text(text, "utf-8")
    (copy.sandbox / "new.j2").write_text("", "utf-8")
    seen.add(copy.revision())
    assert len(seen) == len(sources) + 2


@pytest.mark.parametrize("module", ["processes", "scaled"])
def test_any_change_of_the_code_behind_the_text_is_another_revision(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    before, source = templates.revision(), Path(str(getattr(_units, module).__file__))
    changed = tmp_path.joinpath(*source.parts[-3:])
    changed.parent.mkdir(parents=True)
    changed.write_text(source.read_text("utf-8") + "#\n", "utf-8")
    monkeypatch.setattr(getattr(_units, module), "__file__", str(changed))
    assert templates.revision() != before


# Peers over TCP.

EGRESS = {"egress": ["db.internal:5432", "db.internal:5433", "localhost:6379", "cache.internal:6379"]}


@pytest.fixture
def connected(templates: Templates, context: Context) -> dict[str, str]:
    wanted = change(context, scale={"worker": 2}, sandbox={**CONFIG["sandbox"], **EGRESS})
    return _units.render(templates, wanted)[0]


def test_each_peer_is_a_socket_of_the_activation_s_own_network_and_a_proxy(connected: dict[str, str]) -> None:
    sockets = [connected[f"containerless-shop-egress.peer{number}@.socket"] for number in (1, 2, 3, 4)]
    assert [settings_of(text, "ListenStream") for text in sockets] == [
        ["127.0.0.2:5432"],
        ["127.0.0.2:5433"],
        ["127.0.0.1:6379"],
        ["127.0.0.3:6379"],
    ]
    anchor = "containerless-shop-egress.net@%i.service"
    assert all(settings_of(text, "PrivateNetwork") == ["yes"] for text in sockets)
    assert all(settings_of(text, "JoinsNamespaceOf") == [anchor] for text in sockets)
    proxy = connected["containerless-shop-egress.peer4@.service"]
    assert settings_of(proxy, "ExecStart")[0].endswith(" cache.internal:6379")
    assert "JoinsNamespaceOf" not in proxy


def test_everything_that_runs_joins_the_network_and_ends_with_it(connected: dict[str, str]) -> None:
    anchor = "containerless-shop-egress.net@%i.service"
    others = {name for name in connected if name.endswith(".service") and "-egress." not in name}
    assert len(others) >= 5
    for name in others:
        text = connected[name]
        assert settings_of(text, "JoinsNamespaceOf") == settings_of(text, "BindsTo") == [anchor], name
        assert anchor in settings_of(text, "After"), name
        assert len([unit for unit in settings_of(text, "Requires") if "-egress.peer" in unit]) == 4, name


def test_what_is_shared_is_asked_for_by_all_who_share_it(connected: dict[str, str]) -> None:
    """Without it a network that joins is the own one, and /tmp the host's, while the exposure still says yes."""
    drop_ins = {text for name, text in connected.items() if name.endswith("50-sandbox.conf")}
    (with_notify, without) = sorted(drop_ins, key=len, reverse=True)
    anchor = connected["containerless-shop-egress.net@.service.d/50-sandbox.conf"]
    assert anchor == without
    for key in ("PrivateNetwork", "PrivateIPC", "PrivateTmp"):
        assert settings_of(anchor, key) == settings_of(with_notify, key) != []
    assert settings_of(anchor, "RestrictAddressFamilies") == ["", "AF_UNIX AF_INET"]


def test_the_app_knows_its_peers_by_their_names(connected: dict[str, str]) -> None:
    folder = "containerless-shop-egress.net@.service.d"
    assert connected[f"{folder}/hosts"].split("\n")[2:-1] == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "127.0.0.2 db.internal",
        "127.0.0.3 cache.internal",
    ]
    bound = settings_of(connected["containerless-shop-web@.service.d/50-sandbox.conf"], "BindReadOnlyPaths")
    assert f"/run/systemd/system/{folder.replace('@.', '@%i.')}/hosts:/etc/hosts" in bound


def test_without_peers_there_is_no_network_to_join(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, context)
    assert "egress" not in "".join([*units, *units.values()])


# systemd reads them.


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(templates: Templates, context: Context, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    assert analyze
    version = re.search(
        r"\d+", subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    )
    assert version
    hostile = {"A": "a b;c\"d'e\\f%g$h#i\nj\tk", "B": "", "C": "\u00fc"}
    health = {"timeout": 20, "commands": {"worker": ["python", "check.py"]}}
    more = {"scale": {"web": 2, "worker": 2}, "listen": "[::]:8000", "health": health}
    more["sandbox"] = {**CONFIG["sandbox"], **EGRESS}
    wanted = change(context, env={**CONFIG["env"], **hostile}, **more)
    wanted = dataclasses.replace(wanted, systemd_version=int(version[0]))
    units, boot = _units.render(templates, wanted)
    # Programs and users of the release are not on this machine; everything else is read as it is.
    for name, text in {**units, "containerless-shop.service": boot}.items():
        path = tmp_path / name.replace("@.", "@7.")
        path.parent.mkdir(exist_ok=True)
        path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), "utf-8")
    files = [str(path) for path in tmp_path.iterdir() if path.suffix in {".service", ".socket", ".timer"}]
    done = subprocess.run([analyze, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "containerless" in line]
    assert complaints == []


# Users of single processes.


def test_a_process_with_a_user_of_its_own_has_its_own_state_and_shares_a_folder(
    templates: Templates, context: Context
) -> None:
    units, _boot = _units.render(templates, change(context, users={"worker": "shop-worker"}))
    worker, web = (units[f"containerless-shop-{name}@.service"] for name in ("worker", "web"))
    assert settings_of(worker, "User") == settings_of(worker, "Group") == ["shop-worker"]
    assert settings_of(web, "User") == ["cl-shop"]
    boxes = [units[f"containerless-shop-{name}@.service.d/50-sandbox.conf"] for name in ("worker", "web")]
    assert [settings_of(box, "StateDirectory")[-1] for box in boxes] == [
        "containerless/shop/users/shop-worker",
        "containerless/shop/data",
    ]
    shared = "/var/lib/containerless/shop/shared"
    for unit, box in zip((worker, web), boxes, strict=True):
        assert settings_of(unit, "SupplementaryGroups") == ["clsh-shop"]
        assert f"CONTAINERLESS_SHARED={shared}" in settings_of(unit, "Environment")
        assert settings_of(box, "BindPaths")[-1] == shared
        # A mount of its own, which no other line makes noexec.
        assert shared in settings_of(box, "NoExecPaths")[-1].split()
    assert "/var/lib/containerless/shop/users/shop-worker" in settings_of(boxes[0], "NoExecPaths")[-1].split()


def test_nothing_is_shared_where_there_is_one_user(templates: Templates, context: Context) -> None:
    units, _boot = _units.render(templates, context)
    assert not any("SupplementaryGroups" in text or "/shared" in text for text in units.values())


def test_the_health_command_of_a_process_has_its_user(templates: Templates, context: Context) -> None:
    health = {**CONFIG["health"], "commands": {"worker": ["python", "manage.py", "check"]}}
    units, _boot = _units.render(templates, change(context, users={"worker": "shop-worker"}, health=health))
    assert settings_of(units["containerless-shop-task.healthy_worker@.service"], "User") == ["shop-worker"]
    assert settings_of(units["containerless-shop-task.migrate@.service"], "User") == ["cl-shop"]
