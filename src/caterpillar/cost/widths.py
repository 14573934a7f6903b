"""MEM A of another word width than a table was made for: its prices and its area in the ratio of CACTI's memories."""

from __future__ import annotations

from dataclasses import replace

from caterpillar.cost.circuits import local_sram
from caterpillar.cost.prices import Prices
from caterpillar.machine import Machine


def at_width(table: Prices, machine: Machine) -> Prices:
    """The table with MEM A's energy a word, reads and writes, and its area times CACTI's new over CACTI's old.

    Both memories are of the machine's capacity, node and clock, picked as the cacti prices pick theirs. Energy a word
    takes it that all words of an access are used; the counters count all of them, used or not.
    Raises UsageError where CACTI has no such memory that keeps up with the clock.
    """
    old = local_sram(replace(machine, pe_sram_word_bits=table.pe_sram_word_bits))
    new = local_sram(machine)
    why = f"times CACTI's ratio of {machine.pe_sram_word_bits}-bit to {table.pe_sram_word_bits}-bit words"
    read, write = (new.word_price(q).value / old.word_price(q).value for q in ("read_pj", "write_pj"))
    area = new.sram.area_mm2 * new.lanes / (old.sram.area_mm2 * old.lanes)
    return replace(
        table,
        pe_sram_word_bits=machine.pe_sram_word_bits,
        pe_sram_read_words=table.pe_sram_read_words.times(read, why),
        pe_sram_write_words=table.pe_sram_write_words.times(write, why),
        areas=replace(table.areas, pe_sram=table.areas.pe_sram.times(area, why)),
    )
