"""Make N-MNIST-like events from MNIST by a simulated camera, to learn from; real recordings test what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data import nmnist
from neurosim.data.augment import warped
from neurosim.data.camera import Camera, record
from neurosim.data.collect import EventCollector
from neurosim.data.folder import find_data
from neurosim.data.mnist import ATTRIBUTION as MNIST_ATTRIBUTION
from neurosim.data.mnist import COPIES, MNIST, STREAM_COPIES, load_mnist
from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events
from neurosim.reference.noise import fold

FIRST_IMAGE = 1000  # of MNIST; the sample of N-MNIST shows images 0 to 899
BLOCK = 128  # pictures looked at together: bounds the memory

#: Fitted to 100 recordings that no split tests with: the mean correlation of events per pixel, polarity and 15 ms, by random search.
CAMERA = Camera(
    corners=((-30, 354), (524, 1918), (1557, 385), (40, 336)),
    middles=(42_928, 141_731, 253_054),
    halves=(39_592, 40_212, 36_830),
    scale=258,
    dark=1968,
    threshold=78,
    lag=256,
)


class Comparison(NamedTuple):
    """Simulated against recorded events of the same digits.

    Attributes
    ----------
    n : int
        Digits compared.
    events : (2,) float
        Mean events per digit, simulated and recorded, and so on below.
    per_saccade : (2, 3) float
        The same in each third of the 315 ms.
    falling : (2,) float
        Share of events of polarity bit 1.
    per_cell : float
        Mean correlation over the digits of the events per pixel, polarity and 15 ms.
    per_pixel : float
        Of the events per pixel and polarity: the image.
    """

    n: int
    events: npt.NDArray[np.float64]
    per_saccade: npt.NDArray[np.float64]
    falling: npt.NDArray[np.float64]
    per_cell: float
    per_pixel: float


def compare_with_recordings(split: int | None = None, camera: Camera = CAMERA) -> Comparison:
    """Compare simulated events with the recordings of the same digits.

    Parameters
    ----------
    split : int, optional
        Use the test recordings of this split of `nmnist`; None: the recordings that no split tests with.
    camera : Camera

    Raises
    ------
    DataError
        If MNIST or N-MNIST is not there.
    """
    listing = nmnist.list_recordings(find_data(nmnist.NMNIST))
    if split is not None:
        chosen = listing.split(split)[1]
    else:
        chosen = np.setdiff1d(np.arange(len(listing.files)), np.concatenate([listing.split(s)[1] for s in range(1, 6)]))
    images = load_mnist("train").images[[nmnist.image_number(listing.files[i]) for i in chosen]]
    n_bins = 21  # of 15 ms; 7 in each saccade
    simulated = record(images, camera, n_bins).astype(np.float64)
    recordings = nmnist.read_recordings([listing.files[i] for i in chosen])
    recorded = np.array([nmnist.count_events(r, n_bins) for r in recordings], np.float64)
    both = np.array([simulated, recorded])
    totals = both.sum(axis=(2, 3, 4)).mean(axis=1)
    return Comparison(
        n=len(chosen),
        events=totals,
        per_saccade=both.reshape(2, len(chosen), 3, -1).sum(axis=3).mean(axis=1),
        falling=both[:, :, :, 1].sum(axis=(2, 3)).mean(axis=1) / totals,
        per_cell=_mean_correlation(simulated, recorded),
        per_pixel=_mean_correlation(simulated.sum(axis=1), recorded.sum(axis=1)),
    )


def _mean_correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Return the mean over the first axis of the correlation of what is left."""
    a, b = (x.reshape(len(x), -1) - x.reshape(len(x), -1).mean(axis=1, keepdims=True) for x in (a, b))
    return float(np.mean((a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))))


def saccades_task(n_steps: int | None, augment: bool, options: Mapping[str, int]) -> Task:
    """Return simulated recordings of MNIST with real ones among them, tested with real recordings as `nmnist` is.

    Learns from the MNIST images 1,000 and up, as `CAMERA` sees them, and from the training recordings of the split; with `augment`
    these are followed by warped copies as in `nmnist`. Options: "split", "pool", "phases", "least", "pictures", "copies" as there, but that 0
    copies leave the recordings out; "limit": only so many images; "anew": 1 draws warps anew in each epoch, and from the second on also
    changes the images as `mnist` does, before the camera sees them.
    """
    code = nmnist.task_code(n_steps, options)
    n_copies = options["copies"] if augment else min(1, options["copies"])
    images, labels = load_mnist("train", find_data(MNIST))
    last = FIRST_IMAGE + options["limit"] if options["limit"] else len(images)
    images, labels = images[FIRST_IMAGE:last], labels[FIRST_IMAGE:last]
    if not len(images):
        raise DataError(f"task 'nmnist-saccades': MNIST has no images from number {FIRST_IMAGE} on; get the full set")
    listing = nmnist.list_recordings(find_data(nmnist.NMNIST))
    train, test = listing.split(options["split"])
    recordings = nmnist.read_recordings([listing.files[i] for i in train]) if n_copies else []
    anew = augment and bool(options["anew"])

    def copies(epoch: int) -> Events:
        collected = EventCollector(code.n_steps, code.n_inputs)
        for first in range(0, len(images), BLOCK):
            block = images[first : first + BLOCK]
            if epoch:
                block = warped(block, COPIES, fold(STREAM_COPIES, epoch), first)
            collected.add(code.spikes(record(block, CAMERA, code.n_steps)))
        if n_copies:
            nmnist.add_recordings(collected, nmnist.warped_copies(recordings, train, n_copies, epoch), code)
        return collected.events()

    test_recordings = nmnist.read_recordings([listing.files[i] for i in test])
    return Task(
        name="nmnist-saccades",
        train_events=copies(0),
        train_labels=np.concatenate([labels, np.tile(listing.labels[train], n_copies)]),
        test_events=nmnist.encode_recordings(test_recordings, code),
        test_labels=listing.labels[test],
        n_classes=nmnist.N_CLASSES,
        n_inputs=code.n_inputs,
        n_steps_input=code.n_steps,
        description=f"{len(labels):,} simulated recordings of MNIST images, {len(train)} real ones {n_copies} times; tested with "
        f"real ones, {code.n_steps} steps{'; changed anew in each epoch' if anew else ''}",
        source=f"MNIST, idx files; {nmnist.SOURCE}",
        licence=nmnist.LICENCE,
        attribution=f"{MNIST_ATTRIBUTION} {nmnist.ATTRIBUTION}",
        images=nmnist.pictures(test_recordings),
        copies=copies if anew else None,
        input_shape=code.input_shape,
    )
