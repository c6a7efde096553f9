"""Neurons as functions and modules of torch: gradients against a plain graph of torch's own, spikes against the chip."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.direct.neurons import LIF, MultiSpike, SpikingNeurons, Ternary  # noqa: E402
from neurosim.direct.scan import scan  # noqa: E402
from neurosim.direct.surrogates import slope  # noqa: E402
from neurosim.directconfig import SURROGATES  # noqa: E402
from neurosim.errors import ConfigError  # noqa: E402
from neurosim.fixedpoint import Profile  # noqa: E402
from neurosim.neurons import MultiSpikeLIF  # noqa: E402
from neurosim.reference.models import update_model  # noqa: E402


class Spike(torch.autograd.Function):
    """A spike at distance d from its threshold, with the derivatives of the smooth step by distance and width."""

    @staticmethod
    def forward(ctx, fired, distance, width, kind):
        ctx.save_for_backward(distance, width)
        ctx.kind = kind
        return fired

    @staticmethod
    def backward(ctx, gradient):
        distance, width = ctx.saved_tensors
        z = distance / width
        h = torch.from_numpy(slope(ctx.kind, z.numpy())) / width
        return None, gradient * h, (gradient * -z * h).sum(), None


def plain(module: SpikingNeurons, current, recurrent=None):
    """Run a module's neurons step by step in 64-bit floats, leaving all gradients to torch."""
    threshold, keep = module.threshold.double(), 1 - torch.sigmoid(module.decay_logit.double())
    widths = torch.exp(module.log_width.double()).expand(module.n_steps)
    v, sent, potentials, s = 0.0, [], [], None
    for t in range(module.n_steps):
        a = current[t].double()
        if recurrent is not None and s is not None:
            a = a + s @ recurrent.double().t()
        v = v * keep + a
        x = v / threshold
        potentials.append(x)
        with torch.no_grad():
            if isinstance(module, MultiSpike):
                low = -module.max_spikes if module.signed else 0
                fired = torch.clamp(torch.trunc(x), low, module.max_spikes)
                two_sided, most = module.signed, module.max_spikes
            else:
                two_sided, most = isinstance(module, Ternary), 1
                fired = (x > 1).double() - (x < -1).double() * two_sided
            sign = torch.where(x < 0, -1.0, 1.0) if two_sided else torch.ones_like(x)
            level = torch.clamp(torch.floor(x * sign + 0.5), 1, most)
        s = sign * Spike.apply(sign * fired, x * sign - level, widths[t], module.surrogate)
        sent.append(s)
        kept = s if module.through_reset else s.detach()
        v = v - threshold * kept if isinstance(module, MultiSpike) else v * (1 - sign * kept)
    return torch.stack(sent), torch.stack(potentials)


KINDS = {
    "lif": lambda **s: LIF(4, **s), "ternary": lambda **s: Ternary(4, **s), "multi": lambda **s: MultiSpike(4, max_spikes=3, **s),
    "signed": lambda **s: MultiSpike(4, max_spikes=2, signed=True, **s),
}  # fmt: skip


@pytest.mark.parametrize("learn_width", ["layer", "step"])
@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_a_plain_graph(kind, surrogate, through, learn_width):
    module = KINDS[kind](
        threshold=0.8, decay=0.3, surrogate=surrogate, through_reset=through, learn_width=learn_width, learn_threshold=True,
        learn_decay=True,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    current = torch.randn((4, 3, 5), generator=generator).requires_grad_()
    by_spike, by_potential = (torch.randn((4, 3, 5), generator=generator) for _ in range(2))
    leaves = [current, module.threshold, module.decay_logit, module.log_width]
    found = module(current)
    wanted = plain(module, current)
    np.testing.assert_array_equal(found[0].detach().numpy(), wanted[0].detach().numpy())
    np.testing.assert_allclose(found[1].detach().numpy(), wanted[1].detach().numpy(), rtol=1e-5, atol=1e-6)
    a = torch.autograd.grad((found[0] * by_spike + found[1] * by_potential).sum(), leaves)
    b = torch.autograd.grad((wanted[0] * by_spike + wanted[1] * by_potential).sum(), leaves)
    for mine, theirs in zip(a, b, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_recurrent_weights(kind):
    module = KINDS[kind](decay=0.2)
    generator = torch.Generator().manual_seed(4)
    current = torch.randn((4, 3, 5), generator=generator).requires_grad_()
    weights = torch.randn((5, 5), generator=generator).requires_grad_()
    by_spike = torch.randn((4, 3, 5), generator=generator)
    neurons = module_neurons(module)
    keep = torch.tensor(neurons.keep)
    spikes, _ = scan(
        current, module.threshold, keep, torch.tensor(0.0), torch.exp(module.log_width).expand(4), neurons, weights
    )
    wanted, _ = plain(module, current, weights)
    np.testing.assert_array_equal(spikes.detach().numpy(), wanted.detach().numpy())
    a = torch.autograd.grad((spikes * by_spike).sum(), [current, weights])
    b = torch.autograd.grad((wanted * by_spike).sum(), [current, weights])
    for mine, theirs in zip(a, b, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-4, atol=2e-5)


def module_neurons(module):
    """Return the description that a module hands to `scan`."""
    seen = []
    from neurosim.direct import neurons

    original = neurons.scan
    neurons.scan = lambda *given: seen.append(given) or original(*given)
    try:
        module(torch.zeros((4, 1, 1)))
    finally:
        neurons.scan = original
    return seen[0][5]


def test_a_module_in_chip_integers_gives_the_spikes_of_the_chip():
    rng = np.random.default_rng(5)
    current = (2 * rng.integers(-100, 200, (6, 2, 9))).astype(np.float32)
    module = MultiSpike(6, max_spikes=4, signed=True, threshold=0.5, decay=0.1, scale=300.0)
    spikes, _ = module(torch.from_numpy(current))
    group = MultiSpikeLIF("a", 18, du=4095, dv=410, vth=150, max_spikes=4)
    states = [np.zeros(18, np.int64)] * 2
    for t in range(6):
        out = update_model(group, [current[t].astype(np.int64).ravel()], states, t + 1, Profile())
        states = out.states
        np.testing.assert_array_equal(spikes[t].numpy().ravel(), out.value)
    assert len(np.unique(spikes.numpy())) > 4


def test_gradients_in_chip_integers_are_those_in_floats():
    """Whole numbers that floats hold as well: dv of 1024 is a quarter."""
    rng = np.random.default_rng(6)
    whole = (2 * rng.integers(-40, 90, (3, 4, 5))).astype(np.float32)
    settings = {"max_spikes": 3, "decay": 0.25, "learn_threshold": True}
    both = []
    for scale, given in ((128.0, whole), (None, whole / 128)):
        module = MultiSpike(3, scale=scale, **settings)
        current = torch.from_numpy(given).requires_grad_()
        spikes, _ = module(current)
        by_current, by_threshold = torch.autograd.grad((spikes * spikes).sum(), [current, module.threshold])
        both.append((spikes.detach().numpy(), by_current.numpy() * (scale or 1.0), float(by_threshold)))
    np.testing.assert_array_equal(both[0][0], both[1][0])
    np.testing.assert_allclose(
        both[0][1], both[1][1], rtol=0.05, atol=0.02
    )  # voltages lose a unit of 1/64 here and there


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LIF(2, surrogate="box"), "LIF: unknown surrogate 'box'; choose one of rectangle"),
        (lambda: LIF(2, learn_width="all"), "unknown learn_width 'all'; choose one of fixed"),
        (lambda: LIF(2, decay=1.0), "decay 1.0 is out of range; give one from 0 to below 1"),
        (lambda: LIF(2, learn_decay=True), "give one from above 0 to below 1"),
        (lambda: LIF(2, threshold=0.0), "threshold 0.0 is not a positive finite number"),
        (lambda: LIF(2, scale=1e6), "the register holds 1..131071"),
        (lambda: MultiSpike(2, max_spikes=128), "max_spikes 128 is outside 1..127"),
        (lambda: LIF(2)(torch.zeros((3, 1, 1))), "made for 2 steps, found 3"),
    ],
)
def test_errors(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
