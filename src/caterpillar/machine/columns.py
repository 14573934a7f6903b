"""Many machines as one: a Machine whose fields are columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from caterpillar.machine.machine import Machine


def machine_columns(base: Machine, columns: Mapping[str, Any]) -> Machine:
    """As base, with the fields in columns as NumPy arrays of one length: machine i has element i of each.

    Its properties (pes, ...) are then arrays, and so is all that formulas of elementwise operations make of it. Limits
    are not checked here: they hold for each field by itself, so whoever makes the columns checks the values.
    """
    machines = object.__new__(Machine)
    for field in fields(Machine):
        object.__setattr__(machines, field.name, columns.get(field.name, getattr(base, field.name)))
    return machines
