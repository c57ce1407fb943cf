# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Classes a migration by its operations: does every SQL statement of the code before it still work after it?

``expand``: yes. ``breaking``: no. ``unknown``: the operations do not tell (RunPython, RunSQL, foreign classes).
The table is docs/build.md. Runs in the app's own environment, beside any Django; knows nothing but names of classes.
"""

from __future__ import annotations

import typing as t

EXPAND, BREAKING, UNKNOWN = "expand", "breaking", "unknown"

#: What the database never sees, or what only makes it slower or faster.
_FREE = frozenset(
    """
    verbose_name help_text choices blank validators default editable error_messages related_name related_query_name
    limit_choices_to on_delete auto_now auto_now_add auto_created serialize db_comment db_index db_tablespace
    upload_to storage width_field height_field allow_unicode protocol unpack_ipv4 unique_for_date unique_for_month
    unique_for_year swappable parent_link symmetrical through_fields encoder decoder path match recursive allow_files
    allow_folders
    """.split()  # noqa: SIM905
)
_NEVER = frozenset(("primary_key", "db_column", "to", "to_field", "through", "db_table"))

#: Types that hold every value of the type before them.
_TEXT = frozenset(("CharField", "EmailField", "SlugField", "URLField", "FileField", "ImageField", "FilePathField"))
_WIDER: dict[str, frozenset[str]] = {
    **{name: _TEXT | {"TextField"} for name in _TEXT},
    "SmallIntegerField": frozenset(("IntegerField", "BigIntegerField")),
    "IntegerField": frozenset(("BigIntegerField",)),
    "PositiveSmallIntegerField": frozenset(
        ("SmallIntegerField", "IntegerField", "BigIntegerField", "PositiveIntegerField", "PositiveBigIntegerField")
    ),
    "PositiveIntegerField": frozenset(("IntegerField", "BigIntegerField", "PositiveBigIntegerField")),
    "PositiveBigIntegerField": frozenset(("BigIntegerField",)),
    "SmallAutoField": frozenset(("AutoField", "BigAutoField")),
    "AutoField": frozenset(("BigAutoField",)),
    "OneToOneField": frozenset(("ForeignKey",)),
}

_ALWAYS: dict[str, str] = {
    "AddIndex": EXPAND,
    "AddIndexConcurrently": EXPAND,
    "AlterConstraint": EXPAND,
    "AlterIndexTogether": EXPAND,
    "AlterModelManagers": EXPAND,
    "AlterModelOptions": EXPAND,
    "AlterModelTableComment": EXPAND,
    "CreateCollation": EXPAND,
    "CreateExtension": EXPAND,
    "CreateModel": EXPAND,
    "RemoveConstraint": EXPAND,
    "RemoveIndex": EXPAND,
    "RemoveIndexConcurrently": EXPAND,
    "RenameIndex": EXPAND,
    "ValidateConstraint": EXPAND,
    "AddConstraint": BREAKING,
    "AddConstraintNotValid": BREAKING,
    "AlterModelTable": BREAKING,
    "AlterOrderWithRespectTo": BREAKING,
    "DeleteModel": BREAKING,
    "RemoveCollation": BREAKING,
    "RemoveField": BREAKING,
    "RenameField": BREAKING,
    "RenameModel": BREAKING,
}


def worst(classes: t.Iterable[str]) -> str:
    """Return the class of a whole from those of its parts."""
    found = set(classes)
    return next((name for name in (BREAKING, UNKNOWN) if name in found), EXPAND)


def _has_db_default(field: t.Any) -> bool:
    value = getattr(field, "db_default", None)  # Django < 5.0 has none; later ones have a class NOT_PROVIDED
    return value is not None and getattr(value, "__name__", "") != "NOT_PROVIDED"


def _add_field(field: t.Any) -> str:
    if field.many_to_many or getattr(field, "generated", False):
        return EXPAND
    if field.primary_key:
        return BREAKING
    if field.unique:
        return EXPAND if field.null and not _has_db_default(field) else BREAKING
    # A Python default alone leaves the column NOT NULL without one: INSERTs of the code before it fail.
    return EXPAND if field.null or _has_db_default(field) else BREAKING


def _decimal(old: t.Any, new: t.Any) -> str:
    whole = new.max_digits - new.decimal_places >= old.max_digits - old.decimal_places
    return EXPAND if whole and new.decimal_places >= old.decimal_places else BREAKING


def _length(old: t.Any, new: t.Any) -> str:
    return (
        EXPAND
        if new.max_length is None or (old.max_length is not None and new.max_length >= old.max_length)
        else BREAKING
    )


def _changed(key: str, old: t.Any, new: t.Any) -> str:
    """Return the class of the change of one attribute of a field."""
    if key in _FREE:
        return EXPAND
    if key in _NEVER:
        return BREAKING
    if key in ("max_digits", "decimal_places"):
        return _decimal(old, new)
    simple: dict[str, t.Callable[[], bool]] = {
        "null": lambda: bool(new.null),
        "unique": lambda: not new.unique,
        "db_constraint": lambda: not getattr(new, "db_constraint", True),
        "db_default": lambda: _has_db_default(new),
    }
    if key not in simple:
        return UNKNOWN
    return EXPAND if simple[key]() else BREAKING


def _kind(field: t.Any) -> tuple[str, bool]:
    """Return name and origin (Django's own?) of a field's class, as a migration file writes it."""
    path = field.deconstruct()[1]
    return path.rsplit(".", 1)[1], path.startswith("django.")


def _settings(field: t.Any) -> dict[str, t.Any]:
    settings = dict(field.deconstruct()[3])
    settings.pop("max_length", None)  # compared by attribute: some types leave their usual length out
    if "to" in settings:
        settings["to"] = str(settings["to"]).lower()
    return settings


def _alter_field(old: t.Any, new: t.Any) -> str:
    (old_kind, old_ours), (new_kind, new_ours) = _kind(old), _kind(new)
    if old_kind != new_kind or old_ours != new_ours:
        if not (old_ours and new_ours):
            return UNKNOWN
        if new_kind not in _WIDER.get(old_kind, ()):
            return BREAKING
    before, after = _settings(old), _settings(new)
    missing = object()
    keys = [key for key in {*before, *after} if before.get(key, missing) != after.get(key, missing)]
    return worst([_length(old, new), *(_changed(key, old, new) for key in keys)])


class _Walk:
    """Operations of one migration in order, beside the state of all models just before each."""

    def __init__(self, app: str, state: t.Any, *, initial: bool) -> None:
        self.app = app
        self.state = state
        self.initial = initial
        self.created: set[str] = set()

    def _model(self, name: str) -> t.Any:
        return None if self.state is None else self.state.models.get((self.app, name))

    def _unseen(self, operation: t.Any) -> bool:
        """Whether no older code can know the table: it is new in this migration, or there is none at all."""
        name = str(getattr(operation, "model_name", None) or getattr(operation, "name", "") or "").lower()
        options = getattr(self._model(name), "options", {})
        return name in self.created or not options.get("managed", True) or bool(options.get("proxy"))

    def classify(self, operation: t.Any) -> str:
        """Return the class of an operation and note what it creates."""
        kind = type(operation)
        names = [base.__name__ for base in kind.__mro__]
        if not kind.__module__.startswith(("django.db.migrations.", "django.contrib.")):
            return UNKNOWN
        if kind.__name__ == "SeparateDatabaseAndState":
            return self._separate(operation)
        if kind.__name__ == "RunPython":
            return EXPAND if operation.code is kind.noop else UNKNOWN
        if kind.__name__ == "RunSQL":
            return EXPAND if operation.sql == kind.noop else UNKNOWN
        if "CreateModel" in names:
            self.created.add(operation.name.lower())
        if self.initial or self._unseen(operation):
            return EXPAND
        return self._structural(operation, names)

    def _structural(self, operation: t.Any, names: list[str]) -> str:
        if "AddField" in names:
            return _add_field(operation.field)
        if "AlterField" in names:
            model = self._model(operation.model_name.lower())
            old = None if model is None else model.fields.get(operation.name)
            return UNKNOWN if old is None else _alter_field(old, operation.field)
        if "AlterUniqueTogether" in names:
            options = getattr(self._model(operation.name.lower()), "options", {})
            known = {tuple(item) for item in options.get("unique_together") or ()}
            return EXPAND if {tuple(item) for item in operation.option_value or ()} <= known else BREAKING
        return next((_ALWAYS[name] for name in names if name in _ALWAYS), UNKNOWN)

    def _separate(self, operation: t.Any) -> str:
        inner = _Walk(self.app, None if self.state is None else self.state.clone(), initial=self.initial)
        inner.created = self.created
        return worst([inner.step(item) for item in operation.database_operations])

    def step(self, operation: t.Any) -> str:
        """Classify an operation, then let the state know it."""
        found = self.classify(operation)
        if self.state is not None:
            operation.state_forwards(self.app, self.state)
        return found


def is_initial(migration: t.Any) -> bool:
    """Return whether a migration is the first one of its app, by Django's own rule."""
    if migration.initial is not None:
        return bool(migration.initial)
    return all(app != migration.app_label for app, _name in migration.dependencies)


def classify(migration: t.Any, state: t.Any) -> str:
    """Return the class of a migration; `state` (ProjectState before it, or None) is moved past it."""
    walk = _Walk(migration.app_label, state, initial=is_initial(migration))
    return worst([walk.step(operation) for operation in migration.operations])


def read(loader: t.Any, state: t.Any) -> list[dict[str, t.Any]]:
    """Return every migration on disk with its class, sorted; `loader` is a MigrationLoader without a database."""
    classes: dict[tuple[str, str], str] = {}
    plan: dict[tuple[str, str], None] = {}
    for leaf in sorted(loader.graph.leaf_nodes()):
        plan.update(dict.fromkeys(loader.graph.forwards_plan(leaf)))
    for key in plan:
        classes[key] = classify(loader.graph.nodes[key], state)
    return [
        {
            "app": key[0],
            "name": key[1],
            "replaces": [list(item) for item in migration.replaces],
            # What a squashed migration replaced is outside the graph: there is no state before it.
            "class": classes[key] if key in classes else classify(migration, None),
        }
        for key, migration in sorted(loader.disk_migrations.items())
    ]
