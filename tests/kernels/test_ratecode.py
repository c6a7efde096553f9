"""The rate code of pixels, event by event, equals the encoder's formula."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data.encode import rate_code
from neurosim.data.mnist import LEVELS, pixel_spikes


@pytest.mark.parametrize("n_steps", [1, 3, 8, 16, 300])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 1, 1), (0, 4, 4)])
def test_events_equal_the_formula(shape: tuple[int, int, int], n_steps: int) -> None:
    images = np.random.default_rng(n_steps).integers(0, LEVELS + 1, shape).astype(np.uint8)
    images[:, : shape[1] // 2] = 0  # silent pixels
    counts = (images.reshape(shape[0], shape[1] * shape[2]).astype(np.int64) * n_steps + LEVELS // 2) // LEVELS
    expected, found = rate_code(counts, n_steps, n_steps), pixel_spikes(images, n_steps)
    for name in ("start", "neuron"):
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found[2:] == expected[2:]
