"""The application: help, unknown commands, speed of the import's kind, and errors as one line."""

import subprocess
import sys

HEAVY = ("numba", "numpy", "matplotlib", "pyarrow", "scipy", "dask", "torch")


def test_help_names_every_command(run_process):
    ran = run_process("--help")
    assert ran.status == 0
    assert ran.err == ""
    for command in ("train", "estimate", "reproduce", "machines", "rules", "networks", "datasets"):
        assert f" {command} " in ran.out


def test_an_unknown_command(run_process):
    ran = run_process("fly")
    assert (ran.status, ran.out, ran.err) == (2, "", "error: No such command 'fly'.\n")


def test_no_command_prints_the_help(run_process):
    ran = run_process()
    assert ran.status == 2
    assert "Usage: caterpillar" in ran.out
    assert ran.err == "error: a command is missing; see caterpillar --help\n"


def test_an_error_in_a_process_is_one_line_without_traceback(run_process):
    ran = run_process("estimate", "--network", "500-abc", "--json")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: --network must be layer sizes")
    assert ran.err.count("\n") == 1


def test_help_and_import_load_nothing_heavy():
    """Their time is measured in benchmarks; that they stay light is what keeps it short."""
    code = (
        "import sys, caterpillar; from caterpillar.cli import main; status = main(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m caterpillar networks --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602 - a pipe
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
