"""Transforms of sensor events, by name; `transform_events` and `transform_chunks` apply several in a row."""

from __future__ import annotations

from neurosim.data.spatial import Crop as Crop
from neurosim.data.spatial import Downscale as Downscale
from neurosim.data.spatial import Flip as Flip
from neurosim.data.spatial import MergePolarity as MergePolarity
from neurosim.data.spatial import RandomShift as RandomShift
from neurosim.data.spatial import Shift as Shift
from neurosim.data.spatial import StackPolarity as StackPolarity
from neurosim.data.stages import Transform as Transform
from neurosim.data.stages import transform_chunks as transform_chunks
from neurosim.data.stages import transform_events as transform_events
from neurosim.data.stages import transformed_size as transformed_size
from neurosim.data.temporal import DropPixels as DropPixels
from neurosim.data.temporal import NoiseFilter as NoiseFilter
from neurosim.data.temporal import Refractory as Refractory
from neurosim.data.temporal import TimeJitter as TimeJitter
from neurosim.data.temporal import TimeWindow as TimeWindow
from neurosim.data.temporal import hot_pixels as hot_pixels

#: Every transform by name.
TRANSFORMS: dict[str, type[Transform]] = {
    "crop": Crop,
    "downscale": Downscale,
    "drop-pixels": DropPixels,
    "flip": Flip,
    "jitter": TimeJitter,
    "merge-polarity": MergePolarity,
    "noise-filter": NoiseFilter,
    "random-shift": RandomShift,
    "refractory": Refractory,
    "shift": Shift,
    "stack-polarity": StackPolarity,
    "time-window": TimeWindow,
}
