# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for every file of the repository, whoever adds it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import typing as t
from pathlib import Path

import pytest
import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST_TASK_FILE = 60
LONGEST_PLAYBOOK = 60
LONGEST_MODULE_BODY = 60
SPDX = ("SPDX-FileCopyrightText: containerless.django contributors", "SPDX-License-Identifier: GPL-3.0-or-later")
CLASSIC = (
    "# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)"
)
# In pieces, or this file would be its own first finding.
INDEX_HOSTS = re.compile("|".join((r"pypi\.(?:org|python)", "pythonhosted" + r"\.", "npmjs" + r"\.", r"deb\.debian\.")))


def files(folder: str, pattern: str) -> list[Path]:
    """Find files below a folder: none is fine as long as the folder itself does not exist."""
    found = [path for path in sorted((ROOT / folder).glob(pattern)) if path.name != "__init__.py"]
    assert found or not (ROOT / folder).exists(), f"{folder}/{pattern} matches nothing: the test would test nothing"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def load(path: Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tracked() -> dict[Path, str]:
    """Return each tracked text file with its text; what is not UTF-8 is no text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    texts = {}
    for path in (ROOT / name for name in listed.split("\0") if name):
        if path.is_file() and not path.is_symlink():
            try:
                texts[path] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return texts


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    found = tracked()
    assert found
    return found


def annotated() -> set[Path]:
    """Return the files whose licence REUSE.toml states."""
    annotations = tomllib.loads((ROOT / "REUSE.toml").read_text(encoding="utf-8"))["annotations"]
    return {path for entry in annotations for pattern in entry["path"] for path in glob(pattern)}


def glob(pattern: str) -> list[Path]:
    """Read a pattern of REUSE.toml, where ** matches files as well."""
    return [*ROOT.glob(re.sub(r"\*\*(?=[^/]|$)", "**/*", pattern))]


def test_every_text_file_states_its_licence(texts: dict[Path, str]) -> None:
    elsewhere = annotated() | {ROOT / "LICENSE", ROOT / "LICENSES/GPL-3.0-or-later.txt"}
    without = [
        name_of(path)
        for path, text in texts.items()
        if text and path not in elsewhere and not all(line in text[:600] for line in SPDX)
    ]
    assert without == []


def test_the_licence_text_is_there_in_both_places() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    assert b"GNU GENERAL PUBLIC LICENSE\n                       Version 3" in licence
    assert (ROOT / "LICENSES/GPL-3.0-or-later.txt").read_bytes() == licence


def test_no_file_names_a_package_index_or_a_path_of_this_machine(texts: dict[Path, str]) -> None:
    here = [str(path) for path in (ROOT, Path(sys.base_prefix)) if path not in (Path("/usr"), Path("/"))]
    machine = re.compile("|".join(rf"(?<![\w.-]){re.escape(path)}(?![\w-])" for path in here))
    found = [
        f"{name_of(path)}:{number}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if INDEX_HOSTS.search(line) or machine.search(line)
    ]
    assert found == []


def test_the_pinned_requirements_have_hashes() -> None:
    for path in files("requirements", "*.txt"):
        pins = re.findall(r"^[a-z][\w.-]*==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+", path.read_text(), re.MULTILINE)
        named = re.findall(r"^[a-z]", path.read_text(), re.MULTILINE)
        assert pins, path
        assert len(pins) == len(named), path


def test_every_fragment_has_sections_that_the_changelog_knows() -> None:
    config = load(ROOT / "changelogs/config.yaml")
    known = {section for section, _title in config["sections"]} | {"release_summary", "trivial"}
    for path in (ROOT / "changelogs/fragments").glob("*"):
        assert path.suffix in {".yml", ".yaml"}, path
        assert set(load(path)) <= known, path


def test_every_schema_is_json() -> None:
    for path in files("docs/schemas", "*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["$schema"], path


# --- roles


def roles() -> list[Path]:
    return [path for path in files("roles", "*") if path.is_dir()]


def specs(role: Path) -> dict[str, dict[str, t.Any]]:
    """Return the options of all entry points of a role."""
    path = role / "meta/argument_specs.yml"
    entry_points = load(path)["argument_specs"] if path.is_file() else {}
    return {name: option for entry in entry_points.values() for name, option in entry.get("options", {}).items()}


def defaults(role: Path) -> dict[str, t.Any]:
    path = role / "defaults/main.yml"
    return (load(path) or {}) if path.is_file() else {}


def is_template(value: object) -> bool:
    return "{{" in json.dumps(value)


def test_every_role_has_a_readme_specs_and_meta() -> None:
    wanted = ("README.md", "meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml")
    assert [name_of(role / name) for role in roles() for name in wanted if not (role / name).is_file()] == []


def test_every_default_of_a_role_is_an_option_of_its_spec() -> None:
    assert [f"{role.name}: {name}" for role in roles() for name in defaults(role) if name not in specs(role)] == []


def test_every_default_that_a_spec_states_is_the_role_s_default() -> None:
    differing = [
        f"{role.name}: {name}"
        for role in roles()
        for name, option in specs(role).items()
        if "default" in option and (name not in defaults(role) or defaults(role)[name] != option["default"])
    ]
    assert differing == []


def test_every_plain_default_of_a_role_is_stated_by_its_spec() -> None:
    """What a template computes has no one value to state; everything else a reader must find in the reference."""
    silent = [
        f"{role.name}: {name}"
        for role in roles()
        for name, value in defaults(role).items()
        if not is_template(value) and "default" not in specs(role).get(name, {})
    ]
    assert silent == []


def test_every_option_of_a_role_has_a_type_and_a_description() -> None:
    bare = [
        f"{role.name}: {name}"
        for role in roles()
        for name, option in specs(role).items()
        if not option.get("type") or not option.get("description")
    ]
    assert bare == []


def test_task_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files("roles", "*/tasks/**/*.yml")}
    assert [f"{name_of(path)}: {n} lines" for path, n in lengths.items() if n > LONGEST_TASK_FILE] == []


# --- playbooks


def playbooks() -> list[Path]:
    return [path for path in files("playbooks", "*.yml") if not path.name.endswith(".meta.yml")]


def test_every_playbook_is_one_screen_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in playbooks()}
    assert [f"{name_of(path)}: {n} lines" for path, n in lengths.items() if n > LONGEST_PLAYBOOK] == []


def test_every_playbook_has_an_argument_spec_that_its_plays_name() -> None:
    """A playbook that only imports others leaves the specs to them."""
    problems = []
    for path in playbooks():
        plays = [play for play in load(path) if "ansible.builtin.import_playbook" not in play]
        used = {play["validate_argspec"] for play in plays if "validate_argspec" in play}
        meta = path.with_suffix(".meta.yml")
        stated = set(load(meta)["argument_specs"]) if meta.is_file() else set()
        # hosts.yml is imported by the others, which do; a task more in each of them would check one word.
        if plays and not used and path.name != "hosts.yml":
            problems.append(f"{name_of(path)} validates nothing")
        if used != stated:
            problems.append(f"{name_of(path)} validates {sorted(used)}, {meta.name} states {sorted(stated)}")
    assert problems == []


def test_every_playbook_of_releases_has_the_options_of_the_role() -> None:
    """What a play does not state it neither shows nor checks; a default is the role's, and so is what it must have."""
    left_out = {"default", "required"}
    entries = load(ROOT / "roles/app_release/meta/argument_specs.yml")["argument_specs"]
    problems = []
    for entry, spec in entries.items():
        name = "release" if entry == "main" else entry
        play = load(ROOT / f"playbooks/{name}.meta.yml")["argument_specs"][name]["options"]
        for option, stated in spec["options"].items():
            one, other = (
                {k: v for k, v in each.items() if k not in left_out} for each in (stated, play.get(option, {}))
            )
            # A playbook names the app by app_name alone.
            if option != "app_release_name" and one != other:
                problems.append(f"{name}: {option}: {other} instead of {one}")
    assert problems == []


# --- modules


def modules() -> list[Path]:
    return files("plugins/modules", "*.py")


def strings(path: Path) -> dict[str, ast.Constant]:
    """Return the module-level string constants of a Python file."""
    return {
        target.id: node.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def documents(path: Path) -> dict[str, t.Any]:
    return {name: yaml.safe_load(str(node.value)) for name, node in strings(path).items() if name.isupper()}


def test_every_module_is_documented_and_its_documents_parse() -> None:
    problems = []
    for path in modules():
        parsed = documents(path)
        problems += [f"{path.name} has no {n}" for n in ("DOCUMENTATION", "EXAMPLES", "RETURN") if n not in parsed]
        documentation = parsed.get("DOCUMENTATION", {})
        if documentation.get("module") != path.stem:
            problems.append(f"{path.name}: DOCUMENTATION is about {documentation.get('module')}")
        problems += [f"{path.name}: no {n}" for n in ("short_description", "description") if n not in documentation]
        for kind, options in (("option", documentation.get("options") or {}), ("return", parsed.get("RETURN") or {})):
            problems += [
                f"{path.name}: {kind} {name} lacks {key}"
                for name, option in options.items()
                for key in ("description", "type", *(("returned",) if kind == "return" else ()))
                if key not in option
            ]
    assert problems == []


def test_the_examples_of_every_module_call_it_by_its_full_name() -> None:
    problems = []
    for path in modules():
        examples = documents(path)["EXAMPLES"]
        tasks = [task for item in examples for task in item.get("tasks", [item])]
        if not any(f"containerless.django.{path.stem}" in task for task in tasks):
            problems.append(path.name)
    assert problems == []


def test_the_documents_of_every_module_pass_yamllint() -> None:
    config = YamlLintConfig(file=str(ROOT / ".yamllint-docs"))
    problems = [
        f"{name_of(path)}: {name}: {problem}"
        for path in modules()
        for name, node in strings(path).items()
        if name in {"DOCUMENTATION", "EXAMPLES", "RETURN"}
        for problem in linter.run(str(node.value).lstrip("\n"), config)
    ]
    assert problems == []


def test_every_module_is_a_thin_shell_under_the_classic_licence_line() -> None:
    problems = []
    for path in modules():
        lines = path.read_text(encoding="utf-8").splitlines()
        body = len(lines) - max(node.end_lineno or 0 for node in strings(path).values())
        if body > LONGEST_MODULE_BODY:
            problems.append(f"{path.name}: {body} lines after its documents")
        if CLASSIC not in lines[:6]:
            problems.append(f"{path.name}: the GPL line is missing")
    assert problems == []


# --- the collection and its tools


def test_the_versions_that_several_files_state_agree() -> None:
    preferred = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    bootstrap = (ROOT / "tools/bootstrap.py").read_text(encoding="utf-8")
    assert f'CONTROLLER_PYTHONS = ("{preferred}"' in bootstrap
    oldest = re.search(r'OLDEST_TARGET_PYTHON = "3\.(\d+)"', bootstrap)
    assert oldest
    ruff = tomllib.loads((ROOT / "ruff.toml").read_text(encoding="utf-8"))
    assert ruff["per-file-target-version"]["plugins/module_utils/**"] == f"py3{oldest[1]}"
    assert load(ROOT / "meta/runtime.yml")["requires_ansible"] == ">=2.20.0"


def test_the_collection_needs_no_other_collection() -> None:
    assert load(ROOT / "galaxy.yml")["dependencies"] == {}


def test_nothing_is_excused_from_ansible_lint() -> None:
    lines = (ROOT / ".config/ansible-lint-ignore.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
