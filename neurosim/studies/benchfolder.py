"""The folder of a suite of benchmarks: what is done, and whose results they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosim.atomic import write_atomically
from neurosim.errors import RunFolderError
from neurosim.studies.benchconfig import Suite
from neurosim.version import VERSION

RESULTS, SUITE = "bench.json", "suite.toml"


@dataclass(frozen=True)
class BenchFolder:
    """Where a suite's results lie.

    Parameters
    ----------
    path : Path
    """

    path: Path

    @property
    def models(self) -> Path:
        """Folder of the trained networks."""
        return self.path / "models"

    @property
    def plots(self) -> Path:
        """Folder of the pictures."""
        return self.path / "plots"

    def open(self, suite: Suite) -> dict[str, Any]:
        """Make the folder, or continue in it, and return the results that it holds.

        Raises
        ------
        RunFolderError
            If it holds results of another suite, or other files.
        """
        kept = self.path / SUITE
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if kept.exists():
                if kept.read_text(encoding="utf-8") != suite.to_toml():
                    raise RunFolderError(
                        f"folder {str(self.path)!r}: holds results of another suite; give another with --out, or repeat that one: "
                        f"neurosim bench --suite {kept} --out {self.path}"
                    )
            elif any(self.path.iterdir()):
                raise RunFolderError(f"folder {str(self.path)!r}: exists and is not empty; choose another with --out")
            for folder in (self.models, self.plots):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            if isinstance(error, RunFolderError):
                raise
            raise RunFolderError(
                f"folder {str(self.path)!r}: cannot be made: {error.strerror}; choose another"
            ) from error
        write_atomically(kept, suite.to_toml().encode("utf-8"))
        results = self.path / RESULTS
        return json.loads(results.read_text(encoding="utf-8")) if results.exists() else _no_results(suite)

    def write(self, results: dict[str, Any]) -> None:
        """Write the results, whole or not at all."""
        text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(self.path / RESULTS, text.encode("utf-8"))


def _no_results(suite: Suite) -> dict[str, Any]:
    return {"neurosim": VERSION, "suite": suite.to_dict(), "rows": [], "drives": []}
