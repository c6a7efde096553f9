"""Check a network against the formats of a chip, and a finished mapping against its limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.errors import CapacityError, NetworkError
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, Int64Array
from neurosim.mapping.demand import (
    check_fits,
    configuration_limits,
    configuration_sets,
    configurations,
    core_limits,
)
from neurosim.mapping.layout import Mapping
from neurosim.mapping.learning import LearningNeeds
from neurosim.network import (
    LIF,
    Connection,
    Conv,
    CubaLIF,
    Dense,
    Input,
    IntegerConnection,
    Network,
    OneToOne,
    Sparse,
)
from neurosim.neurons import MODEL_FEATURES, Neurons


def check_formats(network: Network, chip: Chip, learning: LearningNeeds | None = None) -> None:
    """Refuse what the registers and synapse formats of a chip cannot hold."""
    for part in (*network.groups, *network.connections):
        if isinstance(part, (CubaLIF, Connection)):
            raise NetworkError(f"network {network.name!r}: {part.name!r} is in floats; call quantize before mapping")
        if not isinstance(part, (Input, Dense, Sparse, OneToOne, Conv)):
            _check_model(part, chip)
        if isinstance(part, LIF) and chip.state_bits is not None:
            _check_state(part, chip.state_bits, chip)
        if isinstance(part, LIF) and chip.decay_forms is not None:
            _check_decays(part, chip.decay_forms, chip)
        if isinstance(part, (Dense, Sparse, OneToOne, Conv)):
            _check_synapses(part, chip, learning or LearningNeeds())


def validate(network: Network, chip: Chip, mapping: Mapping) -> None:
    """Refuse a mapping that breaks a limit of the chip or loses a neuron."""
    core, n_cores = mapping.core, len(mapping.cores)
    assert core.shape == (network.n_neurons,) and int(core.max(initial=-1)) < n_cores <= chip.n_cores
    assert not np.any(core[network.n_inputs :] < 0) and np.all(core[: network.n_inputs] == -1)
    place = np.arange(network.n_neurons) if mapping.compartment is None else mapping.compartment.astype(np.int64)
    taken = np.stack([core.astype(np.int64), place])[:, network.n_inputs :]
    assert np.all(taken >= 0) and len(np.unique(taken, axis=1).T) == taken.shape[1]
    held = np.bincount(core[network.n_inputs :], minlength=n_cores)
    sets, sites = configuration_sets(network), [use.site for use in mapping.cores]
    assert len(set(sites)) == len(sites)
    for use in mapping.cores:
        assert use.site is not None and 0 <= use.site < chip.n_cores
        assert use.limit | core_limits(chip, use.site) == use.limit
        padded = chip.address_padding == "power_of_two"
        assert held[use.core] <= use.used["compartments"] and (padded or held[use.core] == use.used["compartments"])
        assert 0 <= use.tile[0] < chip.mesh[0] and 0 <= use.tile[1] < chip.mesh[1]
        owner = f"core {use.core} with {', '.join(use.groups)} needs"
        check_fits(owner, use.used, use.limit, chip)
        needed = configurations(use.groups, sets)
        check_fits(owner, needed, configuration_limits(chip), chip)


def _check_model(group: Neurons, chip: Chip) -> None:
    """Refuse neuron models that a chip does not have; None: it is not known, or it has all."""
    if chip.neuron_models is not None and MODEL_FEATURES[type(group)] not in chip.neuron_models:
        raise CapacityError(
            f"group {group.name!r}: chip {chip.name!r} has no {type(group).__name__} neurons, only "
            f"{', '.join(chip.neuron_models)}; use another chip, such as 'loihi2' or 'unlimited'"
        )


def _check_state(group: LIF, bits: int, chip: Chip) -> None:
    """Refuse thresholds and biases beyond the state: potentials have `state_fraction_bits` below one unit of weight."""
    limit = (1 << (bits - 1)) - 1
    fraction = INPUT_SHIFT if chip.state_fraction_bits is None else chip.state_fraction_bits
    vth = int(np.max(group.vth))
    threshold = vth << fraction
    if threshold > limit:
        raise CapacityError(
            f"group {group.name!r}: vth {vth} is {threshold} in units of v, chip {chip.name!r} holds up to {limit} "
            f"in {bits} bits; use vth up to {limit >> fraction}"
        )
    bias = int(np.abs(group.bias).max())
    held = bias >> INPUT_SHIFT - fraction if fraction <= INPUT_SHIFT else bias << fraction - INPUT_SHIFT
    if held > limit:
        raise CapacityError(
            f"group {group.name!r}: bias {bias} exceeds the {limit} that chip {chip.name!r} holds in {bits} bits; "
            "use a smaller bias"
        )


def _check_decays(group: LIF, forms: Sequence[str], chip: Chip) -> None:
    """Refuse decays of another form than the chip has (`Chip.decay_forms`); the arithmetic adds 1 to du."""
    du, dv = np.broadcast_arrays(np.ravel(group.du), np.ravel(group.dv))
    has = {
        "factor": np.ones(du.shape, np.bool_),
        "shift": _is_power_of_two(du + 1) & (_is_power_of_two(dv) | (dv == DECAY_ONE - 1)),
        "none": (du == DECAY_ONE - 1) & (dv == 0),
    }
    if not any(has[form].all() for form in forms):
        worst = int(np.flatnonzero(~has[forms[0]])[0])
        form = {"shift": "by shifts (du + 1 and dv powers of two)", "none": "not at all (du=4095, dv=0)"}
        raise CapacityError(
            f"group {group.name!r}: neurons decay by du {du[worst]}, dv {dv[worst]}, those of chip {chip.name!r} "
            f"{' or '.join(form[each] for each in forms)}; use such decays, or another chip"
        )


def _is_power_of_two(values: Int64Array) -> npt.NDArray[np.bool_]:
    return np.asarray((values > 0) & (values & (values - 1) == 0), np.bool_)


def _check_synapses(connection: IntegerConnection, chip: Chip, learning: LearningNeeds) -> None:
    owner, bits = f"connection {connection.name!r}", connection.num_weight_bits
    if chip.weight_bits_max is not None and bits > chip.weight_bits_max:
        raise CapacityError(
            f"{owner}: {bits} weight bits exceed the limit of {chip.weight_bits_max} of chip {chip.name!r}; "
            f"quantize with num_weight_bits={chip.weight_bits_max}"
        )
    if chip.message_bits is not None and connection.num_message_bits > chip.message_bits:
        raise CapacityError(
            f"{owner}: {connection.num_message_bits} message bits exceed the limit of {chip.message_bits} of chip "
            f"{chip.name!r}; use num_message_bits={chip.message_bits}, or another chip, such as 'loihi2'"
        )
    longest = 0 if connection.delays is None else int(np.asarray(connection.delays).max())
    if chip.delay_max is not None and longest > chip.delay_max:
        raise CapacityError(
            f"{owner}: delay {longest} exceeds the limit of {chip.delay_max} steps of chip {chip.name!r}; "
            "use shorter delays, or relay through neurons"
        )
    beside = learning.of_synapse(connection.name)
    if connection.plastic and chip.tag_bits is not None and chip.tag_bits < beside:
        raise CapacityError(
            f"{owner}: learning keeps {beside} bits beside each weight, chip {chip.name!r} has {chip.tag_bits}; "
            "make it plastic=False, or choose a chip that learns"
        )
