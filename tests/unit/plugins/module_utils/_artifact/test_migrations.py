# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.containerless.django.plugins.module_utils._artifact import migrations as ours

# Django 5.2 needs Python 3.10, so that the oldest Python of a target has none.
django = pytest.importorskip("django")
pytest.importorskip("psycopg")
# ruff: noqa: E402

from django.conf import settings
from django.contrib.postgres import operations as pg
from django.db import migrations as m, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin", "django.contrib.sessions"]
if not settings.configured:
    settings.configure(INSTALLED_APPS=APPS, DATABASES={}, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
    django.setup()

KEY = ("id", models.BigAutoField(primary_key=True))
CHECK = models.CheckConstraint(condition=models.Q(stock__gte=0), name="stock_not_negative")
OLD_CHECK = models.CheckConstraint(condition=models.Q(price__gte=0), name="price_not_negative")
INDEX = models.Index(fields=["name"], name="by_name")


class Legacy(models.CharField):
    """A field of a project's own."""


class Grow(m.AddField):
    """An operation of a project's own."""


def state() -> ProjectState:
    found = ProjectState()
    product = {
        "name": models.CharField(max_length=100, null=True),
        "slug": models.SlugField(unique=True),
        "stock": models.IntegerField(),
        "price": models.DecimalField(max_digits=8, decimal_places=2),
        "since": models.DateTimeField(db_default="2024-01-01"),
        "owner": models.ForeignKey("auth.User", models.CASCADE),
        "twin": models.OneToOneField("auth.User", models.CASCADE, related_name="+"),
        "tags": models.ManyToManyField("auth.Group"),
        "legacy": Legacy(max_length=10),
    }
    options = {"constraints": [OLD_CHECK], "unique_together": {("name", "slug")}, "indexes": [INDEX]}
    found.add_model(ModelState("store", "Product", [KEY, *product.items()], options))
    found.add_model(ModelState("store", "Item", [("id", models.AutoField(primary_key=True))]))
    found.add_model(ModelState("store", "View", [KEY], {"managed": False}))
    found.add_model(ModelState("store", "Proxy", [], {"proxy": True}, bases=("store.product",)))
    found.add_model(ModelState("auth", "User", [KEY]))
    found.add_model(ModelState("auth", "Group", [KEY]))
    return found


def classified(*operations: t.Any, initial: bool = False) -> str:
    migration = m.Migration("0002_next", "store")
    migration.operations, migration.initial = list(operations), initial
    return ours.classify(migration, state())


def add(field: models.Field[t.Any, t.Any]) -> m.AddField:
    return m.AddField("product", "new", field)


def alter(name: str, field: models.Field[t.Any, t.Any]) -> m.AlterField:
    return m.AlterField("product", name, field)


def separate(database: list[t.Any], in_state: list[t.Any]) -> m.SeparateDatabaseAndState:
    return m.SeparateDatabaseAndState(database_operations=database, state_operations=in_state)


EXPAND = {
    "new table": m.CreateModel("Note", [KEY]),
    "null column": add(models.CharField(max_length=9, null=True)),
    "column with database default": add(models.IntegerField(db_default=0)),
    "unique null column": add(models.SlugField(unique=True, null=True)),
    "many to many": add(models.ManyToManyField("auth.User")),
    "generated column": add(
        models.GeneratedField(expression=models.F("stock"), output_field=models.IntegerField(), db_persist=True)
    ),
    "null allowed": alter("stock", models.IntegerField(null=True)),
    "longer": alter("name", models.CharField(max_length=200, null=True)),
    "text": alter("name", models.TextField(null=True)),
    "slug as long text": alter("slug", models.CharField(max_length=60, unique=True)),
    "unique no more": alter("slug", models.SlugField()),
    "wider number": alter("stock", models.BigIntegerField()),
    "wider decimal": alter("price", models.DecimalField(max_digits=10, decimal_places=2)),
    "wider key": m.AlterField("item", "id", models.BigAutoField(primary_key=True, verbose_name="ID")),
    "index": alter("stock", models.IntegerField(db_index=True)),
    "new database default": alter("stock", models.IntegerField(db_default=0)),
    "only words": alter("stock", models.IntegerField(verbose_name="In stock", help_text="x", default=3, blank=True)),
    "on delete": alter("owner", models.ForeignKey("auth.user", models.PROTECT)),
    "constraint of key dropped": alter("owner", models.ForeignKey("auth.User", models.CASCADE, db_constraint=False)),
    "one to one becomes key": alter("twin", models.ForeignKey("auth.User", models.CASCADE, related_name="+")),
    "many to many, words": alter("tags", models.ManyToManyField("auth.Group", related_name="products", blank=True)),
    "add index": m.AddIndex("product", models.Index(fields=["stock"], name="by_stock")),
    "add index concurrently": pg.AddIndexConcurrently("product", models.Index(fields=["stock"], name="by_stock")),
    "remove index": m.RemoveIndex("product", "by_name"),
    "rename index": m.RenameIndex("product", new_name="by_title", old_name="by_name"),
    "remove constraint": m.RemoveConstraint("product", "price_not_negative"),
    "options": m.AlterModelOptions("product", {"ordering": ["name"]}),
    "managers": m.AlterModelManagers("product", []),
    "less unique together": m.AlterUniqueTogether("product", set()),
    "same unique together": m.AlterUniqueTogether("product", {("name", "slug")}),
    "extension": pg.TrigramExtension(),
    "nothing in Python": m.RunPython(m.RunPython.noop, lambda apps, editor: None),
    "nothing in SQL": m.RunSQL(m.RunSQL.noop, "DROP TABLE x"),
    "state alone": separate([], [m.RemoveField("product", "stock")]),
    "unmanaged": m.DeleteModel("View"),
    "proxy": m.DeleteModel("Proxy"),
}
BREAKING = {
    "column without default": add(models.IntegerField()),
    "Python default alone": add(models.IntegerField(default=0)),
    "unique column": add(models.SlugField(unique=True)),
    "unique with one default": add(models.SlugField(unique=True, db_default="x")),
    "null forbidden": alter("name", models.CharField(max_length=100)),
    "shorter": alter("name", models.CharField(max_length=50, null=True)),
    "unique": alter("stock", models.IntegerField(unique=True)),
    "narrower number": alter("stock", models.SmallIntegerField()),
    "narrower decimal": alter("price", models.DecimalField(max_digits=8, decimal_places=3)),
    "other type": alter("stock", models.CharField(max_length=9)),
    "key to another table": alter("owner", models.ForeignKey("auth.Group", models.CASCADE)),
    "key becomes one to one": alter("owner", models.OneToOneField("auth.User", models.CASCADE)),
    "database default dropped": alter("since", models.DateTimeField()),
    "other column": alter("stock", models.IntegerField(db_column="units")),
    "remove field": m.RemoveField("product", "stock"),
    "rename field": m.RenameField("product", "stock", "available"),
    "rename model": m.RenameModel("Product", "Item"),
    "delete model": m.DeleteModel("Product"),
    "other table": m.AlterModelTable("product", "items"),
    "order": m.AlterOrderWithRespectTo("product", "owner"),
    "more unique together": m.AlterUniqueTogether("product", {("name", "slug"), ("name", "stock")}),
    "constraint": m.AddConstraint("product", CHECK),
    "constraint not valid yet": pg.AddConstraintNotValid("product", CHECK),
    "hidden in separate": separate([m.RemoveField("product", "stock")], []),
}
UNKNOWN = {
    "Python": m.RunPython(lambda apps, editor: None),
    "Python, elidable": m.RunPython(lambda apps, editor: None, elidable=True),
    "SQL": m.RunSQL("UPDATE product SET stock = 0"),
    "collation": alter("name", models.CharField(max_length=100, null=True, db_collation="C")),
    "field of a project": alter("legacy", models.CharField(max_length=10)),
    "operation of a project": Grow("product", "new", models.IntegerField(null=True)),
    "SQL in separate": separate([m.RunSQL("SELECT 1")], []),
}
CASES = [
    *((ours.EXPAND, name, operation) for name, operation in EXPAND.items()),
    *((ours.BREAKING, name, operation) for name, operation in BREAKING.items()),
    *((ours.UNKNOWN, name, operation) for name, operation in UNKNOWN.items()),
]


@pytest.mark.parametrize(("expected", "name", "operation"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_class_of_an_operation(expected: str, name: str, operation: t.Any) -> None:
    assert classified(operation) == expected


def test_the_worst_operation_decides() -> None:
    expand, unknown, breaking = EXPAND["null column"], UNKNOWN["Python"], BREAKING["remove field"]
    assert classified(expand, expand) == ours.EXPAND
    assert classified(expand, unknown) == ours.UNKNOWN
    assert classified(unknown, breaking, expand) == ours.BREAKING
    assert classified() == ours.EXPAND


def test_what_a_migration_creates_nobody_knows_yet() -> None:
    create = m.CreateModel("Note", [KEY])
    assert classified(create, m.AddField("note", "text", models.TextField())) == ours.EXPAND
    assert classified(create, m.RenameModel("Note", "Memo")) == ours.EXPAND
    assert classified(create, m.RunPython(lambda apps, editor: None)) == ours.UNKNOWN


def test_each_operation_meets_the_state_after_the_one_before() -> None:
    longer = [alter("name", models.CharField(max_length=n, null=True)) for n in (200, 150)]
    assert classified(longer[0]) == ours.EXPAND
    assert classified(*longer) == ours.BREAKING


def test_tables_of_an_initial_migration_are_new_but_its_code_may_do_anything() -> None:
    assert classified(m.AddField("product", "new", models.IntegerField()), initial=True) == ours.EXPAND
    assert classified(m.RunSQL("DROP TABLE auth_user"), initial=True) == ours.UNKNOWN


def test_without_a_state_an_altered_field_is_unknown() -> None:
    migration = m.Migration("0002_next", "store")
    migration.operations, migration.initial = [alter("name", models.TextField())], False
    assert ours.classify(migration, None) == ours.UNKNOWN


def test_migrations_of_django_itself() -> None:
    found = {(x["app"], x["name"]): x for x in ours.read(MigrationLoader(None), ProjectState())}
    assert list(found) == sorted(found)
    assert found["auth", "0001_initial"] == {
        "app": "auth", "name": "0001_initial", "replaces": [], "class": "expand"
    }  # fmt: skip
    assert found["auth", "0012_alter_user_first_name_max_length"]["class"] == "expand"
    assert found["contenttypes", "0002_remove_content_type_name"]["class"] == "breaking"
    assert found["auth", "0011_update_proxy_permissions"]["class"] == "unknown"
