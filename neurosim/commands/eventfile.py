"""Input spikes, binary or with values, in .npz files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosim.events import Events

ADVICE = "write one with numpy.savez(FILE, spikes=array) of shape (n_samples, n_steps, n_inputs): zeros and ones, or integers"


def load_events(path: Path) -> Events:
    """Read events from a .npz file with an array "spikes": (n_samples, n_steps, n_inputs).

    Zeros and ones are spikes; other integers are messages with values.
    """
    import numpy as np

    from neurosim.errors import DataError
    from neurosim.events import events_from_dense

    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            spikes = None if isinstance(file, np.ndarray) or "spikes" not in file else file["spikes"]
    except OSError as error:
        raise DataError(f"file {str(path)!r}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"file {str(path)!r}: not a .npz file of events ({error}); {ADVICE}") from error
    if spikes is None:
        raise DataError(f"file {str(path)!r}: holds no array 'spikes'; {ADVICE}")
    graded = spikes.dtype.kind in "iu" and not np.isin(spikes, (0, 1)).all()
    return events_from_dense(spikes, graded=bool(graded))
