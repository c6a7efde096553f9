"""Groups of neurons over all steps of a batch, as functions that torch can differentiate."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neurosim.codes import DIRECT_INTEGRATE
from neurosim.kernels import direct as kernels
from neurosim.reference.direct import Neurons


class Scan(torch.autograd.Function):
    """Currents of all steps to messages and potentials of all steps; see `scan`."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Any,
        threshold: Any,
        keep: Any,
        keep_current: Any,
        widths: Any,
        recurrent: Any,
        neurons: Neurons,
    ) -> Any:
        n_steps, n_samples, n = current.shape
        current = current.detach().contiguous()
        shape = (n_steps, n_samples * n)
        potential = torch.empty_like(current)
        spikes = torch.zeros_like(current) if neurons.model == DIRECT_INTEGRATE else torch.empty_like(current)
        u, v = np.zeros(shape[1]), np.zeros(shape[1])
        if recurrent is None:
            _forward(neurons, current, u, v, 0, n_steps, spikes, potential)
        else:
            current, back = current.clone(), recurrent.detach().t()
            for t in range(n_steps):
                if t:
                    current[t].addmm_(spikes[t - 1], back)
                _forward(neurons, current, u, v, t, t + 1, spikes, potential)
        ctx.neurons = neurons
        ctx.save_for_backward(spikes, potential, widths, recurrent)
        ctx.set_materialize_grads(False)
        return spikes, potential

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        by_spike, by_potential = gradients
        spikes, potential, widths, recurrent = ctx.saved_tensors
        neurons: Neurons = ctx.neurons
        n_steps, n_samples, n = spikes.shape
        by_spike = torch.zeros_like(spikes) if by_spike is None else by_spike.contiguous()
        has_potential = by_potential is not None
        by_potential = by_spike if by_potential is None else by_potential.contiguous()
        by_current = torch.empty_like(spikes)
        size = n_samples * n
        by_u, by_v = np.zeros(size, np.float32), np.zeros(size, np.float32)
        n_blocks = -(-size // kernels.BLOCK)
        by_widths, sums = np.zeros((n_blocks, n_steps)), np.zeros((n_blocks, kernels.N_SUMS))
        learns = any(ctx.needs_input_grad[1:5]) and neurons.model != DIRECT_INTEGRATE
        lanes = np.zeros((kernels.N_LANES, kernels.BLOCK))
        by_recurrent = None

        def back(first: int, last: int) -> None:
            kernels.run_backward(
                neurons.model, neurons.most, neurons.signed, neurons.threshold, neurons.keep, neurons.keep_current,
                neurons.scale, neurons.shape, neurons.through_reset, learns, widths.detach().numpy(), _flat(spikes), _flat(potential),
                _flat(by_spike), _flat(by_potential), has_potential, first, last, by_u, by_v, _flat(by_current), by_widths, sums,
                lanes,
            )  # fmt: skip

        if recurrent is None:
            back(0, n_steps)
        else:
            by_spike = by_spike.clone()
            matrix = recurrent.detach()
            for t in reversed(range(n_steps)):
                if t + 1 < n_steps:
                    by_spike[t].addmm_(by_current[t + 1], matrix)
                back(t, t + 1)
            if ctx.needs_input_grad[5]:
                by_recurrent = by_current[1:].reshape(-1, n).t() @ spikes[:-1].reshape(-1, n)
        total = sums.sum(axis=0)
        scalars = [torch.tensor(float(value), dtype=torch.float32) if learns else None for value in total]
        by_width = torch.from_numpy(by_widths.sum(axis=0).astype(np.float32)) if learns else None
        return by_current, *scalars, by_width, by_recurrent, None


def scan(
    current: Any, threshold: Any, keep: Any, keep_current: Any, widths: Any, neurons: Neurons, recurrent: Any = None
) -> tuple[Any, Any]:
    """Advance a group over all steps.

    Parameters
    ----------
    current : (T, B, n) float32 tensor
        What arrives in each step; whole numbers of weight units where `neurons.chip`.
    threshold, keep, keep_current : float32 tensors of one number
        Their values are those in `neurons`; given for their gradients.
    widths : (T,) float32 tensor
        Widths of the surrogate gradient.
    neurons : Neurons
    recurrent : (n, n) float32 tensor, optional
        Weights, in units of the current, by which messages of a step arrive in the next one.

    Returns
    -------
    messages, potentials : (T, B, n) float32 tensors
        Potentials are voltages before firing, in thresholds (of neurons that only integrate: in units of the current).
    """
    found: tuple[Any, Any] = Scan.apply(current, threshold, keep, keep_current, widths, recurrent, neurons)
    return found


def _flat(tensor: Any) -> Any:
    return tensor.view(tensor.shape[0], -1).numpy()


def _forward(
    neurons: Neurons, current: Any, u: Any, v: Any, first: int, last: int, spikes: Any, potential: Any
) -> None:
    kernels.run_forward(
        neurons.model, neurons.chip, neurons.most, neurons.signed, neurons.vth, neurons.dv, neurons.du, neurons.threshold,
        neurons.keep, neurons.keep_current, _flat(current), u, v, first, last, _flat(spikes), _flat(potential),
        np.empty(kernels.BLOCK, np.float32),
    )  # fmt: skip
