"""Neurons as modules of torch, for networks of one's own: LIF with either reset, ternary, multi-spike."""

from __future__ import annotations

import math
from typing import Any

import torch

from neurosim.codes import DIRECT_HARD, DIRECT_SOFT, DIRECT_TERNARY
from neurosim.direct.scan import scan
from neurosim.directconfig import SURROGATES, WIDTHS
from neurosim.errors import ConfigError
from neurosim.fixedpoint import DECAY_ONE, RANGES
from neurosim.reference.direct import Neurons


class SpikingNeurons(torch.nn.Module):
    """Neurons over all steps of a batch, without a current filter; kinds of it say how they fire and what is left.

    In each step ``v = (1 - decay) v + current``; potentials are v before firing, in thresholds.

    Parameters
    ----------
    n_steps : int
    threshold : float
        In units of the current.
    decay : float
        Part of v that is lost in a step, 0..1 (1 excluded).
    surrogate : str
        Shape of the pretended derivative of a spike, a key of `neurosim.directconfig.SURROGATES`.
    width : float, optional
        In thresholds; by default that at which the derivative is 1 at the threshold.
    learn_width : {"fixed", "layer", "step"}
    learn_threshold, learn_decay : bool
    through_reset : bool
        Gradients also pass through the reset.
    scale : float, optional
        Compute in the chip's integers, to the last bit: currents are whole numbers of weight units, `scale` of them to one unit of
        `threshold`. The registers are ``vth = round(scale threshold)`` and ``dv = round(4096 decay)``.

    Examples
    --------
    >>> spikes, potentials = MultiSpike(2, max_spikes=3)(torch.tensor([[[2.5, 0.4]], [[0.6, 0.4]]]))
    >>> spikes.tolist()
    [[[2.0, 0.0]], [[1.0, 0.0]]]
    """

    model = DIRECT_HARD

    def __init__(
        self, n_steps: int, *, threshold: float = 1.0, decay: float = 0.0, surrogate: str = "triangle", width: float | None = None,
        learn_width: str = "fixed", learn_threshold: bool = False, learn_decay: bool = False, through_reset: bool = False,
        scale: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        owner = type(self).__name__
        if surrogate not in SURROGATES:
            raise ConfigError(f"{owner}: unknown surrogate {surrogate!r}; choose one of {', '.join(SURROGATES)}")
        if learn_width not in WIDTHS:
            raise ConfigError(f"{owner}: unknown learn_width {learn_width!r}; choose one of {', '.join(WIDTHS)}")
        if not 0 <= decay < 1 or (learn_decay and decay == 0):
            low = "above 0" if learn_decay else "0"
            raise ConfigError(f"{owner}: decay {decay} is out of range; give one from {low} to below 1")
        width = SURROGATES[surrogate] if width is None else width
        for name, value in (("threshold", threshold), ("width", width), ("scale", 1.0 if scale is None else scale)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{owner}: {name} {value} is not a positive finite number")
        if scale is not None and not 1 <= round(scale * threshold) <= RANGES["vth"].high:
            raise ConfigError(
                f"{owner}: scale {scale} makes threshold {threshold} {round(scale * threshold)} weight units, the register holds 1..{RANGES['vth'].high}"
            )
        self.n_steps, self.surrogate, self.through_reset, self.scale = n_steps, surrogate, through_reset, scale
        self.threshold = torch.nn.Parameter(torch.tensor(float(threshold)), requires_grad=learn_threshold)
        logit = math.log(decay / (1 - decay)) if decay else -math.inf
        self.decay_logit = torch.nn.Parameter(torch.tensor(logit), requires_grad=learn_decay)
        n = n_steps if learn_width == "step" else 1
        self.log_width = torch.nn.Parameter(torch.full((n,), math.log(width)), requires_grad=learn_width != "fixed")

    def forward(self, current: Any) -> Any:
        """Return messages and potentials, (T, B, n) float32 each, of currents (T, B, n) float32."""
        if len(current) != self.n_steps:
            raise ConfigError(
                f"{type(self).__name__}: made for {self.n_steps} steps, found {len(current)}; give currents (n_steps, samples, neurons)"
            )
        keep = 1 - torch.sigmoid(self.decay_logit)
        threshold, decay = float(self.threshold.detach()), 1 - float(keep.detach())
        chip, scale = self.scale is not None, self.scale or 1.0
        dv = round(DECAY_ONE * decay)
        neurons = Neurons(
            self.model, chip, *self._messages(), round(scale * threshold), dv, DECAY_ONE - 1, threshold,
            1 - dv / DECAY_ONE if chip else 1 - decay, 0.0, scale, list(SURROGATES).index(self.surrogate), self.through_reset,
        )  # fmt: skip
        widths = torch.exp(self.log_width).expand(self.n_steps)
        return scan(current, self.threshold, keep, torch.tensor(0.0), widths, neurons)

    def _messages(self) -> tuple[int, bool]:
        """Return the largest message, and whether messages have signs."""
        return 1, False


class LIF(SpikingNeurons):
    """A spike where v exceeds the threshold, then v = 0: the chip's `neurosim.LIF`."""


class Ternary(SpikingNeurons):
    """Spikes of +1 above the threshold and of -1 below its negative, then v = 0: the chip's `neurosim.TernaryLIF`."""

    model = DIRECT_TERNARY


class MultiSpike(SpikingNeurons):
    """As many spikes as thresholds fit into v, as one message; v keeps the rest: the chip's `neurosim.MultiSpikeLIF`.

    ``s = clip(trunc(v / threshold), -max_spikes, max_spikes)``, from 0 without signs; ``v -= threshold s``. The same as firing again
    and again within the step, once for each threshold, at most `max_spikes` times. With `max_spikes` = 1 and without signs this is LIF
    with a soft reset. Our reading of neurons that use the whole membrane potential (arXiv:2605.27412, abstract), not that paper's
    equations, which are not known to us.

    Parameters
    ----------
    n_steps : int
    max_spikes : int
        1..127.
    signed : bool
    settings
        As of `SpikingNeurons`.
    """

    model = DIRECT_SOFT

    def __init__(
        self, n_steps: int, *, max_spikes: int = 15, signed: bool = False, threshold: float = 1.0, decay: float = 0.0,
        surrogate: str = "triangle", width: float | None = None, learn_width: str = "fixed", learn_threshold: bool = False,
        learn_decay: bool = False, through_reset: bool = False, scale: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            n_steps, threshold=threshold, decay=decay, surrogate=surrogate, width=width, learn_width=learn_width,
            learn_threshold=learn_threshold, learn_decay=learn_decay, through_reset=through_reset, scale=scale,
        )  # fmt: skip
        low, high = RANGES["max_spikes"]
        if not low <= max_spikes <= high:
            raise ConfigError(f"MultiSpike: max_spikes {max_spikes} is outside {low}..{high}")
        self.max_spikes, self.signed = max_spikes, signed

    def _messages(self) -> tuple[int, bool]:
        return self.max_spikes, self.signed
