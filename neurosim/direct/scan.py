"""Groups of neurons over all steps of a batch: forward, back, and as a function that torch can differentiate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from neurosim.codes import DIRECT_INTEGRATE
from neurosim.kernels import direct as kernels
from neurosim.program import aligned_empty
from neurosim.reference.direct import Doubles, Floats, Neurons


class Gradients(NamedTuple):
    """Gradients by what a group was run with; those not wanted are None.

    Attributes
    ----------
    current : (T, B, n) float32
    threshold, keep, keep_current : float32
    widths : (T,) float32
    recurrent : (n, n) float32
    """

    current: Floats
    threshold: np.float32 | None
    keep: np.float32 | None
    keep_current: np.float32 | None
    widths: Floats | None
    recurrent: Floats | None


def run_forward(current: Floats, neurons: Neurons, recurrent: Floats | None = None) -> tuple[Floats, Floats, float]:
    """Return messages, potentials, and the sizes of all messages added up; parameters are arrays, as in `scan`."""
    n_steps, n_samples, n = current.shape
    current, potential = np.ascontiguousarray(current), aligned_empty(current.shape)
    spikes = np.zeros(current.shape, np.float32) if neurons.model == DIRECT_INTEGRATE else aligned_empty(current.shape)
    u, v = np.zeros(n_samples * n), np.zeros(n_samples * n)
    if recurrent is None:
        return spikes, potential, _forward(neurons, current, u, v, 0, n_steps, spikes, potential)
    current, sent = current.copy(), 0.0
    for t in range(n_steps):
        if t:
            _add_product(current[t], spikes[t - 1], recurrent.T)
        sent += _forward(neurons, current, u, v, t, t + 1, spikes, potential)
    return spikes, potential, sent


def run_backward(
    neurons: Neurons, spikes: Floats, potential: Floats, widths: Floats, by_spike: Floats | None, by_potential: Floats | None,
    recurrent: Floats | None = None, learns: bool = False,
) -> Gradients:  # fmt: skip
    """Return the gradients by what a group was run with.

    Parameters
    ----------
    neurons : Neurons
    spikes, potential : (T, B, n) float32
        As `run_forward` gave them.
    widths : (T,) float32
    by_spike, by_potential : (T, B, n) float32, or None
        Gradients by messages and by potentials; None for none.
    recurrent : (n, n) float32, optional
    learns : bool
        Gradients by the numbers of the group and by the widths are wanted.
    """
    n_steps, n_samples, n = spikes.shape
    sent = np.zeros(spikes.shape, np.float32) if by_spike is None else np.ascontiguousarray(by_spike)
    risen = sent if by_potential is None else np.ascontiguousarray(by_potential)
    by_current = aligned_empty(spikes.shape)
    size = n_samples * n
    by_u, by_v = np.zeros(size, np.float32), np.zeros(size, np.float32)
    learns = learns and neurons.model != DIRECT_INTEGRATE
    n_blocks = -(-size // kernels.BLOCK) if learns else 0
    by_widths, sums = np.zeros((n_blocks, n_steps)), np.zeros((n_blocks, kernels.N_SUMS))
    lanes = np.zeros((kernels.N_LANES, kernels.BLOCK))

    def back(first: int, last: int) -> None:
        kernels.run_backward(
            neurons.model, neurons.most, neurons.signed, neurons.threshold, neurons.keep, neurons.keep_current,
            neurons.scale, neurons.shape, neurons.through_reset, learns, widths, _flat(spikes), _flat(potential),
            _flat(sent), _flat(risen), by_potential is not None, first, last, by_u, by_v, _flat(by_current), by_widths, sums,
            lanes,
        )  # fmt: skip

    by_recurrent = None
    if recurrent is None:
        back(0, n_steps)
    else:
        sent = sent.copy()
        for t in reversed(range(n_steps)):
            if t + 1 < n_steps:
                _add_product(sent[t], by_current[t + 1], recurrent)
            back(t, t + 1)
        by_recurrent = product(by_current[1:].reshape(-1, n).T, spikes[:-1].reshape(-1, n))
    if not learns:
        return Gradients(by_current, None, None, None, None, by_recurrent)
    numbers = sums.sum(axis=0).astype(np.float32)
    by_width = by_widths.sum(axis=0).astype(np.float32)
    return Gradients(by_current, numbers[0], numbers[1], numbers[2], by_width, by_recurrent)


def product(a: Floats, b: Floats) -> Floats:
    """Return a matrix product, by torch: on one core where it was told so, which numpy cannot be told."""
    found: Floats = (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()
    return found


def _add_product(total: Floats, a: Floats, b: Floats) -> None:
    torch.from_numpy(total).addmm_(torch.from_numpy(a), torch.from_numpy(b))


class _Scan(torch.autograd.Function):
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
        found = run_forward(current.detach().numpy(), neurons, _array(recurrent))
        spikes, potential = (torch.from_numpy(each) for each in found[:2])
        ctx.neurons = neurons
        ctx.save_for_backward(spikes, potential, widths, recurrent)
        ctx.set_materialize_grads(False)
        return spikes, potential

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        spikes, potential, widths, recurrent = ctx.saved_tensors
        by_spike, by_potential = (_array(each) for each in gradients)
        found = run_backward(
            ctx.neurons, spikes.numpy(), potential.numpy(), widths.detach().numpy(), by_spike, by_potential, _array(recurrent),
            any(ctx.needs_input_grad[1:5]),
        )  # fmt: skip
        return *(None if each is None else torch.from_numpy(np.asarray(each)) for each in found), None


def _array(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().numpy()


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
    found: tuple[Any, Any] = _Scan.apply(current, threshold, keep, keep_current, widths, recurrent, neurons)
    return found


def _flat(array: Floats) -> Floats:
    return array.reshape(array.shape[0], -1)


def _forward(
    neurons: Neurons, current: Floats, u: Doubles, v: Doubles, first: int, last: int, spikes: Floats, potential: Floats
) -> float:
    sent: float = kernels.run_forward(
        neurons.model, neurons.chip, neurons.most, neurons.signed, neurons.vth, neurons.dv, neurons.du, neurons.threshold,
        neurons.keep, neurons.keep_current, _flat(current), u, v, first, last, _flat(spikes), _flat(potential),
        np.empty((2, kernels.BLOCK), np.float32),
    )  # fmt: skip
    return sent
