"""Load MNIST from its idx files, rate-coded."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.augment import Warp, warped
from neurosim.data.encode import rate_code, stagger_shifts
from neurosim.data.folder import DataSet, find_data, read_bytes
from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.reference.noise import fold

N_CLASSES = 10
LEVELS = 255  # pixels are 0..255
N_STEPS = 8
MAX_UNPACKED = 1 << 28  # bytes of a compressed file; the largest of MNIST has 47 MB
MAGIC = {"images": (2051, 3), "labels": (2049, 1)}  # of an idx file of bytes, and its number of axes
FILES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
MNIST = DataSet(
    "mnist",
    "the idx files " + ", ".join(FILES.values()) + ", each plain or with .gz",
    ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
    "Y. LeCun, C. Cortes and C. Burges, http://yann.lecun.com/exdb/mnist, or one of its mirrors",
)
#: How far training images are changed, chosen on the last 10,000 training images.
COPIES = Warp(shift=192, turn=26, zoom=20, shear=20, bend=256)
STREAM_COPIES = 0x636F70696573  # names their random numbers
LICENCE = "CC BY-SA 3.0"
ATTRIBUTION = "Y. LeCun, C. Cortes, C. J. C. Burges. The MNIST database of handwritten digits."


class Images(NamedTuple):
    """Pictures with labels.

    Attributes
    ----------
    images : (n, rows, columns) uint8
    labels : (n,) int64
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def read_idx(path: Path, kind: str) -> npt.NDArray[np.uint8]:
    """Read an idx file of bytes, compressed if its name ends in .gz.

    Parameters
    ----------
    path : Path
    kind : {"images", "labels"}

    Raises
    ------
    DataError
        If the file cannot be read, is of another kind, or is shorter or longer than its header says.
    """
    content = read_bytes(path)
    if path.suffix == ".gz":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(MAX_UNPACKED + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"file {str(path)!r}: not a whole gzip file ({error}); get it anew") from error
        if len(content) > MAX_UNPACKED:
            raise DataError(
                f"file {str(path)!r}: exceeds {MAX_UNPACKED} bytes once it is unpacked; unpack it, or get it anew"
            )
    magic, n_axes = MAGIC[kind]
    header = 4 * (1 + n_axes)
    if len(content) < header:
        raise DataError(f"file {str(path)!r}: {len(content)} bytes cannot hold the header of {header}; get it anew")
    found, *shape = (int(word) for word in np.frombuffer(content, ">u4", 1 + n_axes))
    if found != magic:
        raise DataError(
            f"file {str(path)!r}: magic number {found} is not the {magic} of idx {kind}; check which file it is"
        )
    expected = int(np.prod(shape, dtype=object))
    if not expected:
        raise DataError(f"file {str(path)!r}: holds nothing ({' x '.join(map(str, shape))}); get it anew")
    if len(content) - header != expected:
        raise DataError(
            f"file {str(path)!r}: {len(content) - header} bytes follow the header, which announces {expected} "
            f"({' x '.join(map(str, shape))}); get it anew"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def load_mnist(part: str, folder: Path | None = None) -> Images:
    """Return the "train" or the "test" images of MNIST.

    Parameters
    ----------
    part : {"train", "test"}
    folder : Path, optional
        With the idx files; otherwise it is looked for as `find_data` does.
    """
    folder = find_data(MNIST) if folder is None else folder
    images, labels = (read_idx(_existing(folder, FILES[part, kind]), kind) for kind in ("images", "labels"))
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {len(images)} {part} images have {len(labels)} labels; get both files from one source"
        )
    if len(labels) and int(labels.max()) >= N_CLASSES:
        raise DataError(f"{folder}: label {int(labels.max())} of the {part} images is outside 0..9; get the file anew")
    return Images(images, labels.astype(np.int64))


def pixel_spikes(images: npt.NDArray[np.uint8], n_steps: int) -> Events:
    """Encode a pixel of value x as ``x * n_steps / 255`` spikes, rounded, spread evenly over the steps (`rate_code`)."""
    from neurosim.kernels.ratecode import rate_events

    n_inputs = images.shape[1] * images.shape[2]
    pixels = np.ascontiguousarray(images).reshape(len(images), n_inputs)
    counts = (np.arange(LEVELS + 1) * n_steps + LEVELS // 2) // LEVELS
    fires = rate_code(counts[:, None], n_steps, n_steps, stagger=False).to_dense()[:, :, 0]
    when = np.argsort(~fires, axis=1, kind="stable").astype(np.int64)  # the steps with a spike come first
    n_events = int(np.bincount(pixels.ravel(), minlength=LEVELS + 1) @ counts)
    start, neuron = np.zeros(len(pixels) * n_steps + 1, np.int64), np.zeros(n_events, np.int32)
    shifts = stagger_shifts(n_inputs, n_steps)
    rate_events(pixels, counts, when, shifts, np.zeros(n_steps, np.int64), start, neuron)
    return Events(start, neuron, len(pixels), n_steps, n_inputs)


def mnist_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return MNIST as one rate-coded input per pixel; of `n_steps` steps (8) a pixel fires in its share, `pixel_spikes`.

    With `augment` each epoch sees other copies of the training images, changed at random within `COPIES`. Option "limit":
    learn from the first so many images only; 0 means all.
    """
    steps = N_STEPS if n_steps is None else n_steps
    folder = find_data(MNIST)
    images, labels = load_mnist("train", folder)
    if options["limit"]:
        images, labels = images[: options["limit"]], labels[: options["limit"]]
    test, test_labels = load_mnist("test", folder)

    def copies(epoch: int) -> Events:
        return pixel_spikes(warped(images, COPIES, fold(STREAM_COPIES, epoch)), steps)

    more = "; training images moved, turned, stretched and bent anew in each epoch" if augment else ""
    rows, columns = test.shape[1:]
    return Task(
        name="mnist",
        train_events=copies(0) if augment else pixel_spikes(images, steps),
        train_labels=labels,
        test_events=pixel_spikes(test, steps),
        test_labels=test_labels,
        n_classes=N_CLASSES,
        n_inputs=rows * columns,
        n_steps_input=steps,
        description=f"handwritten digits, {rows} x {columns} pixels, rate-coded over {steps} steps{more}",
        source="MNIST, idx files",
        licence=LICENCE,
        attribution=ATTRIBUTION,
        images=test,
        copies=copies if augment else None,
        input_shape=(rows, columns, 1),
    )


def _existing(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"data set 'mnist': {folder} has neither {name} nor {name}.gz; get the missing file from {MNIST.origin}"
    )
