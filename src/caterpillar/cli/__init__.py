"""The command line: files in, report out. One file a command; heavy imports wait until a command runs."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run the command line on arguments (None: those of the process) and give the exit status.

    0 done, 1 failed (training diverged), 2 bad usage or input, 130 interrupted.
    """
    from caterpillar.cli.app import run

    return run(arguments)


__all__ = ["main"]
