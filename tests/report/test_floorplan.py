"""The floorplan is to scale: its boxes tile the machine and have the areas of the prices."""

import math
from dataclasses import replace

import pytest

from caterpillar.cost import CACTI, PAPER, area_mm2
from caterpillar.machine import PAPER_A, PAPER_B
from caterpillar.report.floorplan import core_boxes, pe_boxes, save_floorplan


@pytest.mark.parametrize("machine", [PAPER_A, PAPER_B])
@pytest.mark.parametrize("pricing", [PAPER, CACTI])
def test_boxes_have_the_areas_of_the_machine(machine, pricing):
    prices = pricing.of(machine)
    total = area_mm2(machine, prices)
    pe = pe_boxes(machine, prices)
    for box in pe:
        assert box.area * machine.pes == pytest.approx(total[box.name])
    core = core_boxes(machine, prices)
    assert math.fsum(box.area for box in core) * machine.cores == pytest.approx(sum(total.values()))


def test_boxes_do_not_overlap_and_fill_the_pe():
    boxes = pe_boxes(PAPER_A, CACTI.of(PAPER_A))
    side = max(box.x + box.width for box in boxes)
    assert math.fsum(box.area for box in boxes) == pytest.approx(side * max(box.y + box.height for box in boxes))
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart_x = one.x + one.width <= other.x + 1e-12 or other.x + other.width <= one.x + 1e-12
            apart_y = one.y + one.height <= other.y + 1e-12 or other.y + other.height <= one.y + 1e-12
            assert apart_x or apart_y


def test_the_same_machine_gives_the_same_picture(tmp_path):
    machine = replace(PAPER_A, cores_per_row=3, core_rows=3, core_sram_bytes=0)
    for name in ("one.svg", "two.svg"):
        save_floorplan(machine, CACTI.of(machine), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
