"""caterpillar machines"""

from __future__ import annotations

from dataclasses import asdict

from caterpillar.cli.options import Json


def machines(json: Json = False) -> None:
    """The machines that have a name. Your own is a TOML file: --machine my.toml."""
    from caterpillar.cli.output import print_json, print_table
    from caterpillar.machine import MACHINES

    if json:
        print_json({"machines": [asdict(machine) for machine in MACHINES.values()]})
        return
    columns = (
        "name",
        "cores",
        "PEs a core",
        "PEs",
        "local SRAM, KB a PE",
        "off-core SRAM, KB a core",
        "clock, GHz",
        "nm",
    )
    rows = [
        (
            machine.name,
            f"{machine.core_rows} x {machine.cores_per_row}",
            f"{machine.pe_rows} x {machine.pe_cols}",
            machine.pes,
            machine.pe_sram_bytes / 1024,
            machine.core_sram_bytes / 1024,
            machine.clock_hz / 1e9,
            machine.node_nm,
        )
        for machine in MACHINES.values()
    ]
    print_table("Machines", columns, rows)
