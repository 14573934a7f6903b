"""Price tables from TOML: the shipped ones and a user's own go through the same door."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import cast

from caterpillar.checks import SpecError, UsageError
from caterpillar.cost.physical import CACTI, HOROWITZ, cacti
from caterpillar.cost.prices import SIZES, Areas, Price, Prices, Pricing

TABLES = ("paper",)
MODELS = {model.name: model for model in (HOROWITZ, CACTI)}
SHIPPED = (*TABLES, *MODELS)

SECTIONS = {"pj": Prices.names(), "mm2": Areas.names(), "sizes": tuple(limit.field for limit in SIZES)}
OPTIONAL = ("logic_volts", "memory_volts", "pe_sram_word_bits", "pe_sram_late_cycles", "core_sram_late_cycles")

Table = dict[str, object]


def parse_prices(text: str, volts: float | None = None) -> Pricing:
    """Shipped prices by name (SHIPPED), or a TOML file laid out like cost/tables/paper.toml; .of(machine) is the table.

    volts: supply of the logic, for cacti alone (default: by node).
    Raises UsageError for an unknown name, volts with other prices or a file that cannot be read, SpecError for a table
    that is not complete, has an unknown key or a shipped table's name, or a price that is not a number of at least 0
    with a source.
    """
    if volts is not None:
        if text != CACTI.name:
            raise UsageError(f"--volts goes with --prices cacti, not with {text!r}")
        return replace(CACTI, build=partial(cacti, volts=volts))
    if text.endswith(".toml"):
        path = Path(text)
        try:
            table = read_prices(path.read_text(encoding="utf-8"), where=str(path))
        except OSError as error:
            raise UsageError(f"--prices file {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"--prices file {path} is not TOML: {error}") from None
        if table.name in SHIPPED:
            raise SpecError(f"{path}: name must be another than those of {', '.join(SHIPPED)}, got {table.name!r}")
        return table
    if text in MODELS:
        return MODELS[text]
    if text not in TABLES:
        raise UsageError(f"--prices must be one of {', '.join(SHIPPED)}, or a .toml file, got {text!r}")
    return _shipped(text)


def read_prices(toml: str, *, where: str) -> Prices:
    """A price table from TOML text; where names the text in errors."""
    try:
        table: Table = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--prices file {where} is not TOML: {error}") from None
    _check_keys(table, where)
    name = table["name"]
    if not isinstance(name, str) or not name:
        raise SpecError(f"{where}: name must be a word, got {name!r}")
    blocks = _prices(cast("Table", table["mm2"]), f"{where}: mm2")
    sizes = cast("dict[str, int]", table["sizes"])
    events = _prices(cast("Table", table["pj"]), f"{where}: pj")
    factor = _price(table["factor"], f"{where}: factor")
    try:
        areas = Areas(**blocks, pe_sram_bytes=sizes["pe_sram_bytes"], core_sram_bytes=sizes["core_sram_bytes"])
        return Prices(
            name=name,
            node_nm=cast("int", table["node_nm"]),
            factor=factor,
            areas=areas,
            pe_sram_word_bits=cast("int", table.get("pe_sram_word_bits", 16)),
            machine=None,
            pe_sram_late_cycles=cast("int", table.get("pe_sram_late_cycles", 0)),
            core_sram_late_cycles=cast("int", table.get("core_sram_late_cycles", 0)),
            logic_volts=cast("float | None", table.get("logic_volts")),
            memory_volts=cast("float | None", table.get("memory_volts")),
            **events,
        )
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _check_keys(table: Table, where: str) -> None:
    """Every key known, none missing; all that are missing are named at once."""
    missing = _missing(table, ("name", "node_nm", "factor", *SECTIONS), where, optional=OPTIONAL)
    for key, names in SECTIONS.items():
        section = table.get(key, {})
        if not isinstance(section, dict):
            raise SpecError(f"{where}: {key} must be a table, got {section!r}")
        if key in table:
            missing += [f"{key}.{name}" for name in _missing(cast("Table", section), names, f"{where}: {key}")]
    if missing:
        raise SpecError(f"{where}: missing {', '.join(missing)}")


def _missing(table: Table, names: tuple[str, ...], where: str, *, optional: tuple[str, ...] = ()) -> list[str]:
    allowed = (*names, *optional)
    unknown = sorted(set(table) - set(allowed))
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(allowed)}")
    return [name for name in names if name not in table]


def _prices(entries: Table, where: str) -> dict[str, Price]:
    return {name: _price(entry, f"{where}.{name}") for name, entry in entries.items()}


def _price(entry: object, where: str) -> Price:
    if not isinstance(entry, dict):
        raise SpecError(f'{where} must be {{ value = number, source = "text" }}, got {entry!r}')
    table = cast("Table", entry)
    missing = _missing(table, ("value", "source"), where, optional=("range",))
    if missing:
        raise SpecError(f"{where}: missing {', '.join(missing)}")
    try:
        return Price(
            value=cast("float", table["value"]),
            source=cast("str", table["source"]),
            range=_range(table["range"]) if "range" in table else None,
        )
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _range(entry: object) -> tuple[float, float]:
    if not isinstance(entry, list) or len(cast("list[object]", entry)) != 2:
        raise SpecError(f"range must be [low, high], got {entry!r}")
    low, high = cast("list[float]", entry)
    return low, high


def _shipped(name: str) -> Prices:
    return read_prices(files("caterpillar.cost").joinpath("tables", f"{name}.toml").read_text("utf-8"), where=name)


PAPER = _shipped("paper")
