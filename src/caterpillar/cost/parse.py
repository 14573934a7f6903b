"""Price tables from TOML: the shipped ones and a user's own go through the same door."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import cast

from caterpillar.checks import SpecError, UsageError
from caterpillar.cost.physical import CACTI, HOROWITZ
from caterpillar.cost.prices import SIZES, Areas, Price, Prices, Pricing

TABLES = ("paper",)
MODELS = {model.name: model for model in (HOROWITZ, CACTI)}
SHIPPED = (*TABLES, *MODELS)

Table = dict[str, object]


def parse_prices(text: str) -> Pricing:
    """Shipped prices by name (SHIPPED), or a TOML file laid out like cost/tables/paper.toml; .of(machine) is the table.

    Raises UsageError for an unknown name or a file that cannot be read, SpecError for a table that is not complete,
    has an unknown key, or a price that is not a number of at least 0 with a source.
    """
    if text.endswith(".toml"):
        path = Path(text)
        try:
            return read_prices(path.read_text(encoding="utf-8"), where=str(path))
        except OSError as error:
            raise UsageError(f"--prices file {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"--prices file {path} is not TOML: {error}") from None
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
    _same_keys(table, ("name", "node_nm", "factor", "pj", "mm2", "sizes"), where)
    name = table["name"]
    if not isinstance(name, str) or not name:
        raise SpecError(f"{where}: name must be a word, got {name!r}")
    blocks = _prices(_section(table, "mm2", Areas.names(), where), f"{where}: mm2")
    sizes = cast("dict[str, int]", _section(table, "sizes", tuple(limit.field for limit in SIZES), where))
    events = _prices(_section(table, "pj", Prices.names(), where), f"{where}: pj")
    factor = _price(table["factor"], f"{where}: factor")
    try:
        areas = Areas(**blocks, pe_sram_bytes=sizes["pe_sram_bytes"], core_sram_bytes=sizes["core_sram_bytes"])
        return Prices(
            name=name,
            node_nm=cast("int", table["node_nm"]),
            factor=factor,
            areas=areas,
            machine=None,
            late_read_cycles=0,
            logic_volts=None,
            memory_volts=None,
            **events,
        )
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None


def _section(table: Table, key: str, names: tuple[str, ...], where: str) -> Table:
    section = table[key]
    if not isinstance(section, dict):
        raise SpecError(f"{where}: {key} must be a table, got {section!r}")
    entries = cast("Table", section)
    _same_keys(entries, names, f"{where}: {key}")
    return entries


def _same_keys(table: Table, names: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(names)}")
    missing = [name for name in names if name not in table]
    if missing:
        raise SpecError(f"{where}: missing {', '.join(missing)}")


def _prices(entries: Table, where: str) -> dict[str, Price]:
    return {name: _price(entry, f"{where}.{name}") for name, entry in entries.items()}


def _price(entry: object, where: str) -> Price:
    if not isinstance(entry, dict):
        raise SpecError(f'{where} must be {{ value = number, source = "text" }}, got {entry!r}')
    table = cast("Table", entry)
    _same_keys({"range": None, **table}, ("value", "source", "range"), where)
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
