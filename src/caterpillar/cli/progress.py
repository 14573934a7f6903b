"""A progress bar on stderr, there only when stderr is a terminal."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Bar:
    """with Bar() as bar: bar.update("epoch 2 of 5", 1200, 6000). Without a terminal, or quiet, nothing is shown."""

    def __init__(self, *, quiet: bool = False) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._progress = Progress(
            *columns,
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, text: str, done: float, total: float | None) -> None:
        """Show how much is done; total None, before any other: no one knows of how much."""
        self._progress.update(self._task, description=text, completed=done, total=total)

    def aside(self, show: Callable[[], None]) -> None:
        """Take the bar away while show prints."""
        self._progress.stop()
        show()
        self._progress.start()
