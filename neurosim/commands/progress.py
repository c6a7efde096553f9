"""How training shows its progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID
    from typing_extensions import Self

    from neurosim.experiment import Progress
    from neurosim.studies.benchsuite import Step

PLAIN_LINES = 20  # about so many for a whole training
WIDE = 115  # columns that the bar takes with everything beside it; narrower terminals get the essentials


class _View(ABC):
    """A bar on a terminal while a ``with`` block runs; none elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Bar | None = None
        self.task: TaskID | None = None

    @abstractmethod
    def _make_bar(self) -> Bar:
        """Return the bar of a terminal."""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.bar = self._make_bar()
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()


class ProgressView(_View):
    """Shows each generation; use it in a ``with`` block and pass `show` as ``on_progress``."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.wide = not console.is_terminal or console.width >= WIDE
        self.first: Progress | None = None

    def _make_bar(self) -> Bar:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        name = [TextColumn("generation")] if self.wide else []
        return Bar(
            *name, MofNCompleteColumn(), BarColumn(bar_width=24 if self.wide else 10),
            TextColumn("{task.description}"), TimeRemainingColumn(), TextColumn("left"), console=self.console,
        )  # fmt: skip

    def show(self, progress: Progress) -> None:
        """Take note of a finished generation."""
        self.first = self.first or progress
        if self.bar is None:
            if self._is_due(progress):
                line = (
                    f"  generation {progress.generation:>6,} of {progress.n_generations:,}  {self._numbers(progress)}"
                )
                self.console.print(line, soft_wrap=True)
            return
        if self.task is None:
            self.task = self.bar.add_task("", total=progress.n_generations, completed=progress.generation)
        self.bar.update(self.task, completed=progress.generation, description=self._numbers(progress))

    def _is_due(self, progress: Progress) -> bool:
        """Whether another twentieth of the generations is done."""
        done, before = (
            g * PLAIN_LINES // progress.n_generations for g in (progress.generation, progress.generation - 1)
        )
        return done != before or progress is self.first

    def _numbers(self, progress: Progress) -> str:
        parts = [f"train {progress.train_accuracy:6.1%}"]
        if progress.test_accuracy is not None:
            parts.append(f"test {progress.test_accuracy:6.1%}")
        parts.append(f"fitness {progress.fitness:7.3f}" if progress.loss is None else f"loss {progress.loss:6.3f}")
        assert self.first is not None
        seconds, samples = progress.seconds - self.first.seconds, progress.samples - self.first.samples
        if seconds > 0 and self.wide:
            parts.append(f"{samples / seconds:,.0f} samples/s")
        return "  ".join(parts)


class StepsView(_View):
    """Shows pieces of work that differ in length; use it in a ``with`` block and pass `show` as ``on_step``."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.begin = time.perf_counter()

    def _make_bar(self) -> Bar:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        return Bar(
            MofNCompleteColumn(), BarColumn(bar_width=16), TimeRemainingColumn(), TextColumn("left"),
            TextColumn("{task.description}"), console=self.console,
        )  # fmt: skip

    def show(self, step: Step) -> None:
        """Take note of what begins."""
        seconds = time.perf_counter() - self.begin
        rate = f", {60 * step.done / seconds:.0f} a minute" if step.done and seconds > 0 else ""
        if self.bar is None:
            due = step.done * PLAIN_LINES // step.total != (step.done - 1) * PLAIN_LINES // step.total
            if not due and step.total > PLAIN_LINES:
                return
            self.console.print(f"  {step.done:>4,} of {step.total:,}{rate}: {step.text}", soft_wrap=True)
            return
        if self.task is None:
            self.task = self.bar.add_task("", total=step.total)
        self.bar.update(self.task, completed=step.done, description=f"{step.text}{rate}")


class EventsView(_View):
    """Shows how far a recording is read or written; use it in a ``with`` block and pass `show` as ``on_progress``.

    Elsewhere than on a terminal nothing is shown: a recording takes seconds.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.begin, self.text = time.perf_counter(), ""

    def _make_bar(self) -> Bar:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        return Bar(
            BarColumn(bar_width=16), TextColumn("{task.description}"), TimeRemainingColumn(), TextColumn("left"),
            console=self.console, transient=True,
        )  # fmt: skip

    def show(self, text: str, done: int, total: int | None) -> None:
        """Take note of so many events, of so many if that is known."""
        if self.bar is None:
            return
        if self.task is None:
            self.task = self.bar.add_task("", total=total)
        if text != self.text:
            self.text, self.begin = text, time.perf_counter()
            self.bar.reset(self.task, total=total)
        seconds = time.perf_counter() - self.begin
        rate = f", {done / seconds:,.0f} a second" if seconds > 0 else ""
        self.bar.update(self.task, completed=done, total=total, description=f"{done:,} events {text}{rate}")
