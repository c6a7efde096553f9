"""The folder of one training run: model, metrics, checkpoints, plots and report at fixed names."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosim.arrayfile import unpack_arrays
from neurosim.atomic import write_atomically
from neurosim.errors import ModelFileError, RunFolderError

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 3
_CHECKPOINT = re.compile(r"gen-(\d{6,})\.npz")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run lie. Make one with `create` or `open`.

    Parameters
    ----------
    path : Path
    """

    path: Path

    @classmethod
    def create(cls, path: str | os.PathLike[str], force: bool = False) -> RunFolder:
        """Make a run folder, parents included.

        Parameters
        ----------
        path : path-like
            A new or empty folder.
        force : bool
            Also take a folder with files in it. The model, metrics, report and checkpoints of the earlier run
            are removed, so that nothing of it is taken for the new run's; other files stay.
        """
        run = cls(Path(path))
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if not force:
                run.check_empty()
            for folder in (run.checkpoints, run.plots):
                folder.mkdir(exist_ok=True)
            for old in (run.model_path, run.metrics_path, run.report_path, *run.checkpoints.glob("gen-*.npz")):
                old.unlink(missing_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise RunFolderError(
                f"run folder {str(path)!r}: a file is in the way; choose another with --out"
            ) from error
        except OSError as error:
            if isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"run folder {str(path)!r}: cannot be made: {error.strerror}; choose another with --out"
            ) from error
        return run

    def discard_unused(self) -> None:
        """Remove the folder if nothing was written into it, as after a run that was refused."""
        if any(path.is_file() for path in self.path.rglob("*")):
            return
        for folder in (self.checkpoints, self.plots, self.path):
            with contextlib.suppress(OSError):  # somebody's folder in it, or in use: it stays
                folder.rmdir()

    def check_empty(self) -> None:
        """Refuse a folder with files in it; one that does not exist is as good as an empty one."""
        if self.path.is_dir() and any(self.path.iterdir()):
            raise RunFolderError(
                f"run folder {str(self.path)!r}: exists and is not empty; choose another with --out, "
                "or continue this run with --resume"
            )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Return an existing run folder."""
        run = cls(Path(path))
        if not run.path.is_dir():
            what = "is not a folder" if run.path.exists() else "does not exist"
            raise RunFolderError(
                f"run folder {str(path)!r}: {what}; give the folder of a run, or make one: neurosim train --out {path}"
            )
        return run

    @property
    def model_path(self) -> Path:
        """The trained model."""
        return self.path / "model.npz"

    @property
    def metrics_path(self) -> Path:
        """Everything measured, as JSON."""
        return self.path / "metrics.json"

    @property
    def report_path(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> Path:
        """Folder of the newest checkpoints."""
        return self.path / "checkpoints"

    @property
    def plots(self) -> Path:
        """Folder of the figures."""
        return self.path / "plots"

    def checkpoint_path(self, generation: int) -> Path:
        """Where the checkpoint of a generation lies."""
        if generation < 0:
            raise RunFolderError(f"run folder {str(self.path)!r}: generation {generation} is negative; count from 0")
        return self.checkpoints / f"gen-{generation:06d}.npz"

    def write_checkpoint(self, generation: int, data: bytes) -> Path:
        """Store a checkpoint (made by `pack_arrays`) and drop all but the newest of it and those before it."""
        path = self.checkpoint_path(generation)
        try:
            self.checkpoints.mkdir(exist_ok=True)
            write_atomically(path, data)
            until_now = [old for number, old in self._numbered_checkpoints() if number <= generation]
            # Temporary files of a killed process; a run has one writer, so none of them is in use.
            leftovers = self.checkpoints.glob(".gen-*.tmp")
            for old in (*until_now[:-KEPT_CHECKPOINTS], *leftovers):
                old.unlink(missing_ok=True)
        except OSError as error:
            if isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"run folder {str(self.path)!r}: cannot keep checkpoints: {error.strerror}; check its permissions"
            ) from error
        return path

    def latest_checkpoint(self) -> Path | None:
        """Return the newest checkpoint that is intact, None without one; damaged ones are logged and passed over."""
        for _, path in reversed(self._numbered_checkpoints()):
            try:
                unpack_arrays(path.read_bytes(), path)
            except (ModelFileError, OSError) as error:
                log.warning("checkpoint passed over: %s", error)
            else:
                return path
        return None

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics with sorted keys; NaN and types that JSON lacks are refused."""
        try:
            text = json.dumps(dict(metrics), indent=1, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RunFolderError(
                f"file {str(self.metrics_path)!r}: metrics cannot be JSON: {error}; use plain finite numbers"
            ) from error
        write_atomically(self.metrics_path, (text + "\n").encode("utf-8"))

    def read_metrics(self) -> dict[str, Any]:
        """Return the metrics of a finished run."""
        shown = str(self.metrics_path)
        try:
            metrics = json.loads(self.metrics_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunFolderError(
                f"file {shown!r}: does not exist; finish the run first: neurosim train --resume {self.path}"
            ) from None
        except OSError as error:
            raise RunFolderError(f"file {shown!r}: cannot be read: {error.strerror}; check its permissions") from error
        except (ValueError, RecursionError) as error:  # RecursionError: nested very deep
            raise RunFolderError(
                f"file {shown!r}: is not JSON: {error}; write it again: neurosim train --resume {self.path}"
            ) from error
        if not isinstance(metrics, dict):
            raise RunFolderError(
                f"file {shown!r}: holds a {type(metrics).__name__}, not metrics; give the folder of a run"
            )
        return metrics

    def _numbered_checkpoints(self) -> list[tuple[int, Path]]:
        """All checkpoints, oldest generation first."""
        paths = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        return sorted((int(found[1]), path) for path in paths if (found := _CHECKPOINT.fullmatch(path.name)))


def model_file(path: Path) -> Path:
    """Return the model file that a path means: itself, or that of a run folder."""
    return RunFolder(path).model_path if path.is_dir() else path


def unique_run_path(base: Path, name: str) -> Path:
    """Return the next free folder name: ``base/name-001``, ``name-002`` and so on, one above the highest taken.

    In the name, signs that some file systems do not allow become ``-``.
    """
    name = re.sub(r"[^\w.-]+", "-", name)
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    taken = [
        int(found[1]) for path in (base.iterdir() if base.is_dir() else ()) if (found := pattern.fullmatch(path.name))
    ]
    return base / f"{name}-{max(taken, default=0) + 1:03d}"
