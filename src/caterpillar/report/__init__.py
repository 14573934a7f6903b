"""Tables and figures: the paper's value beside ours, with the difference."""

from caterpillar.report.reproduction import reproduction_tables, write_reproduction

__all__ = ["reproduction_tables", "write_reproduction"]
