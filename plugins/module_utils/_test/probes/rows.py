# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put rows into every table of a Django project: {"rows": {model: number}, "left_out": {model: why}} as JSON.

A migration that works on empty tables may not work on full ones. The values are as awkward as the models allow: as long
as fits, equal where they need not differ, and missing in every second row where they may.
Started as `python -c SOURCE NUMBER`. Signals and save() are passed by: nothing is mailed or asked elsewhere.
"""

# ruff: noqa: SLF001 - _meta and _base_manager are Django's documented names

from __future__ import annotations

import datetime
import decimal
import json
import os
import sys
import typing as t
import uuid

_NOW = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
_TEXT = 20
#: Internal type -> value of row `number`; the values of types that are not here are asked of the field itself.
_VALUES: dict[str, t.Callable[[t.Any, int], t.Any]] = {
    "BinaryField": lambda _field, number: bytes([number]),
    "BooleanField": lambda _field, _number: False,
    "DateField": lambda _field, number: (_NOW + datetime.timedelta(days=number)).date(),
    "DateTimeField": lambda _field, number: _NOW + datetime.timedelta(days=number),
    "DecimalField": lambda _field, number: decimal.Decimal(number),
    "DurationField": lambda _field, number: datetime.timedelta(seconds=number),
    "EmailField": lambda _field, number: f"row{number}@example.org",
    "FloatField": lambda _field, number: float(number),
    "GenericIPAddressField": lambda _field, number: f"192.0.2.{number % 256}",
    "JSONField": lambda _field, number: {"row": number},
    "TimeField": lambda _field, number: datetime.time(number % 24),
    "URLField": lambda _field, number: f"https://example.org/{number}",
    "UUIDField": lambda _field, _number: uuid.uuid4(),
}
_TEXTS = ("CharField", "TextField", "SlugField", "FileField", "FilePathField")


def value(field: t.Any, number: int) -> t.Any:
    """Return what row `number` has in a field that is no relation."""
    # Rows that need not differ are equal: what makes them unique later finds that out.
    row = number if field.unique else 1
    if field.null and number % 2 == 0:
        return None
    if field.choices:
        return next(iter(field.flatchoices))[0]
    kind = field.get_internal_type()
    if kind in _TEXTS:
        size = min(field.max_length or _TEXT, 255)
        return str(row).rjust(size, "x")[-size:]
    if "Integer" in kind:
        return row
    made = _VALUES.get(kind)
    return made(field, row) if made else field.get_default()


def fill(models: t.Iterable[t.Any], number: int, atomic: t.Any) -> dict[str, t.Any]:
    """Put `number` rows into each model, what others point to first; a model that takes none is left out."""
    waiting = list(models)
    rows: dict[str, int] = {}
    left_out: dict[str, str] = {}
    for _turn in range(len(waiting) + 1):
        later = []
        for model in waiting:
            label = model._meta.label
            try:
                # All rows of a model or none: what it points to may come in the next turn.
                with atomic():
                    for row in range(1, number + 1):
                        model._base_manager.bulk_create([model(**_values(model, row))])
                rows[label] = number
                left_out.pop(label, None)
            except Exception as exc:  # noqa: BLE001 - whatever a model raises, the others are filled
                left_out[label] = f"{type(exc).__name__}: {exc}"[:200]
                later.append(model)
        if len(later) in (0, len(waiting)):
            break
        waiting = later
    return {"rows": rows, "left_out": left_out}


def _values(model: t.Any, row: int) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {}
    for field in model._meta.concrete_fields:
        if field.primary_key and field.get_internal_type().endswith("AutoField"):
            continue
        if field.remote_field:
            found[field.name] = _target(field, row)
        else:
            found[field.name] = value(field, row)
    return found


def _target(field: t.Any, row: int) -> t.Any:
    if field.null and row % 2 == 0:
        return None
    targets = field.related_model._base_manager.order_by("pk")
    found = targets[row - 1 : row].first() if field.unique else targets.first()
    if found is None:
        raise LookupError(f"{field.related_model._meta.label} has no row yet")
    return found


def main() -> None:
    # Settings may print; the answer stands alone.
    answer, sys.stdout = sys.stdout, sys.stderr
    sys.path.insert(0, os.getcwd())
    import django
    from django.apps import apps
    from django.db import transaction

    django.setup()
    models = [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy]
    json.dump(fill(models, int(sys.argv[1]), transaction.atomic), answer)


if __name__ == "__main__":
    main()
