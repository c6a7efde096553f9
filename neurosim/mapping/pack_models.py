"""Pack what programs have besides plain LIF neurons and plain weights (`neurosim.program.ModelArrays`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim import codes
from neurosim.errors import NetworkError
from neurosim.fixedpoint import (
    ARITHMETICS,
    DECAY_ONE,
    DEFAULT_ARITHMETIC,
    INPUT_SHIFT,
    lost_weight_bits,
    truncate_weights,
)
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Group, Input, IntegerConnection, Network
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFRefractory,
    LIFReset,
    MultiSpikeLIF,
    Neurons,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
    rest_of,
)
from neurosim.program import ModelArrays


def check_arithmetic(network: Network, arithmetic: str) -> None:
    """Refuse an unknown profile, and models that the chip of a profile does not have."""
    if arithmetic not in ARITHMETICS:
        raise NetworkError(f"unknown arithmetic {arithmetic!r}; choose one of {', '.join(ARITHMETICS)}")
    if arithmetic == DEFAULT_ARITHMETIC:
        return
    for group in network.groups:
        if not isinstance(group, Input) and type(group) not in (LIF, LIFReset, LIFRefractory):
            raise NetworkError(
                f"group {group.name!r}: arithmetic {arithmetic!r} is that of LIF, LIFReset and LIFRefractory, found "
                f"{type(group).__name__}; use arithmetic {DEFAULT_ARITHMETIC!r}"
            )
    if not ARITHMETICS[arithmetic].cuts_each_weight:
        return
    for connection in network.connections:
        if isinstance(connection, (Connection, Conv)) or connection.num_message_bits or connection.plastic:
            raise NetworkError(
                f"connection {connection.name!r}: arithmetic {arithmetic!r} is for binary spikes and fixed weights that "
                f"are stored one by one; use arithmetic {DEFAULT_ARITHMETIC!r}"
            )


def model_of(group: Group, arithmetic: str) -> int:
    """Return the code of a group's model."""
    if isinstance(group, Input):
        return codes.MODEL_INPUT
    if isinstance(group, (LIFReset, LIFRefractory)):
        return codes.MODEL_LIF_EACH
    for kind, code in {
        TernaryLIF: codes.MODEL_TERNARY,
        MultiSpikeLIF: codes.MODEL_MULTISPIKE,
        Sigma: codes.MODEL_SIGMA,
        Delta: codes.MODEL_DELTA,
        SigmaDelta: codes.MODEL_SIGMA_DELTA,
        ProdNeuron: codes.MODEL_PRODUCT,
        GradedVec: codes.MODEL_GRADED,
        RFIzhikevich: codes.MODEL_RESONATE_RESET,
        RF: codes.MODEL_RESONATE,
        ATRLIF: codes.MODEL_ATRLIF,
    }.items():
        if isinstance(group, kind):
            return code
    assert isinstance(group, LIF)
    return codes.MODEL_LIF_EACH if ARITHMETICS[arithmetic].chip or not group.is_uniform else codes.MODEL_LIF


def port_of(connection: IntegerConnection, network: Network) -> int:
    """Return the number of the input port of the target."""
    return network.group(connection.target).ports.index(connection.port) if connection.port else 0


def is_link(connection: IntegerConnection, network: Network) -> bool:
    """Whether a connection needs more than the weights of the sources that fired."""
    return (
        isinstance(connection, Conv)
        or connection.delays is not None
        or connection.num_message_bits > 0
        or port_of(connection, network) > 0
    )


def chip_weights(weights: npt.ArrayLike, connection: IntegerConnection, arithmetic: str) -> npt.NDArray[np.int64]:
    """Return weights as the chip's format holds them.

    With "loihi1" they include the exponent: a negative one cuts the low bits of each weight, not of the sum
    (nengo-loihi's emulator).
    """
    if isinstance(connection, Conv):
        return np.asarray(weights, dtype=np.int64)
    assert connection.sign_mode is not None
    cut = truncate_weights(weights, connection.num_weight_bits, connection.sign_mode)
    if not ARITHMETICS[arithmetic].cuts_each_weight:
        return cut
    lost = lost_weight_bits(connection.num_weight_bits, connection.sign_mode)
    shift = lost + connection.weight_exp
    mantissa = cut >> lost
    return mantissa << shift if shift >= 0 else mantissa >> -shift


def sum_exponent(connection: IntegerConnection, arithmetic: str) -> int:
    """Return the exponent that scales the sum of the weights of a step."""
    return 0 if ARITHMETICS[arithmetic].cuts_each_weight else connection.weight_exp


def threshold_of(group: LIF, arithmetic: str) -> npt.NDArray[np.int64]:
    """Return what v must exceed, one number or (n,), in units of v."""
    return (np.asarray(group.vth, np.int64) << INPUT_SHIFT) - int(ARITHMETICS[arithmetic].fires_at_threshold)


def pack_models(network: Network, arithmetic: str) -> ModelArrays | None:
    """Return the arrays beyond those of plain networks, or None for a plain one."""
    groups = network.ordered_groups
    links = [c for c in network.connections if not isinstance(c, Connection) and is_link(c, network)]
    plain = (codes.MODEL_INPUT, codes.MODEL_LIF)
    if not links and all(model_of(group, arithmetic) in plain for group in groups):
        return None
    n = network.n_neurons
    setting = np.zeros((len(groups), codes.N_SETTINGS), np.int64)
    param, rest = np.zeros((codes.N_PARAMS, n), np.int64), np.zeros((4, n), np.int64)
    for i, group in enumerate(groups):
        where = slice(network.offsets[group.name], network.offsets[group.name] + group.n)
        if not isinstance(group, (Input, CubaLIF)):
            setting[i] = _settings(group, arithmetic)
            for slot, value in enumerate(rest_of(group)):
                rest[slot, where] = value
        if isinstance(group, LIF):
            param[:, where] = _parameters(group, arithmetic)
    packed = _Links(network, arithmetic)
    for connection in links:
        packed.add(connection)
    return packed.arrays(setting, param.astype(np.int32), rest.astype(np.int32))


def _settings(group: Neurons, arithmetic: str) -> list[int]:
    """Return a row of the setting table."""
    values: dict[int, int] = {}
    if isinstance(group, MultiSpikeLIF):
        values = {codes.CAP: group.max_spikes, codes.FLOOR: -group.max_spikes if group.signed else 0}
    elif isinstance(group, LIF) and not isinstance(group, TernaryLIF):
        values = {codes.CHIP: int(ARITHMETICS[arithmetic].chip)}
        if isinstance(group, LIFRefractory):
            values[codes.PERIOD] = group.refractory_period
        if isinstance(group, LIFReset):
            values[codes.INTERVAL] = group.reset_interval
            values[codes.PHASE] = group.reset_offset % group.reset_interval
    elif isinstance(group, (Delta, SigmaDelta)):
        shift = group.spike_exp + group.state_exp
        values = {
            codes.VTH: group.vth << shift,
            codes.SPIKE_SHIFT: shift,
            codes.STATE_SHIFT: group.state_exp,
            codes.CUMULATIVE: int(group.cum_error),
            codes.RELU: int(isinstance(group, SigmaDelta) and group.act_mode == "relu"),
        }
    elif isinstance(group, ProdNeuron):
        values = {codes.VTH: group.vth, codes.SPIKE_SHIFT: group.exp}
    elif isinstance(group, GradedVec):
        values = {codes.VTH: group.vth, codes.RELU: int(group.relu)}
    elif isinstance(group, RF):
        values = {
            codes.VTH: group.vth << group.state_exp,
            codes.STATE_SHIFT: group.state_exp,
            codes.SINE: group.sin_decay,
            codes.COSINE: group.cos_decay,
            codes.ROTATION_BITS: group.decay_bits,
        }
    elif isinstance(group, ATRLIF):
        values = {
            codes.DECAY_I: group.delta_i,
            codes.DECAY_V: group.delta_v,
            codes.DECAY_THETA: group.delta_theta,
            codes.DECAY_R: group.delta_r,
            codes.THETA_0: group.theta_0 << INPUT_SHIFT,
            codes.THETA_STEP: group.theta_step << INPUT_SHIFT,
        }
    return [values.get(column, 0) for column in range(codes.N_SETTINGS)]


def _parameters(group: LIF, arithmetic: str) -> npt.NDArray[np.int64]:
    """Return what neurons of the LIF family have each: (4, n)."""
    high, low = threshold_of(group, arithmetic), np.zeros((), np.int64)
    if isinstance(group, TernaryLIF):
        high, low = (np.asarray(vth, np.int64) << INPUT_SHIFT for vth in (group.vth_hi, group.vth_lo))
    rows = [
        DECAY_ONE - (np.asarray(group.du) + 1),
        DECAY_ONE - np.asarray(group.dv),
        high,
        low,
    ]
    return np.stack([np.broadcast_to(row, (group.n,)) for row in rows])


class _Links:
    """Links and their weights, collected one by one."""

    def __init__(self, network: Network, arithmetic: str) -> None:
        self.network, self.arithmetic = network, arithmetic
        self.table: list[list[int]] = []
        self.rows: list[npt.NDArray[np.int64]] = []
        self.start: list[npt.NDArray[np.int64]] = []
        self.synapses: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
        self.conv: list[list[int]] = []
        self.rings: dict[tuple[int, int], int] = {}  # (port, first neuron of the target) -> row
        self.ring_rows: list[list[int]] = []
        self._size_rings()

    def _size_rings(self) -> None:
        """Make one ring per delayed port, as long as its longest delay asks."""
        longest: dict[tuple[int, int, int], int] = {}
        for c in self.network.connections:
            if not isinstance(c, Connection) and c.delays is not None:
                target = self.network.group(c.target)
                key = (port_of(c, self.network), self.network.offsets[target.name], target.n)
                longest[key] = max(longest.get(key, 0), int(np.asarray(c.delays).max()))
        offset = 0
        for (port, first, width), delay in longest.items():
            self.rings[port, first] = len(self.ring_rows)
            self.ring_rows.append([port, first, width, offset, delay + 1])
            offset += width * (delay + 1)

    def add(self, connection: IntegerConnection) -> None:
        """Append one link."""
        row = [0] * codes.N_LINK_COLUMNS
        port = port_of(connection, self.network)
        row[codes.LINK_CONNECTION] = self.network.connections.index(connection)
        row[codes.LINK_VALUES] = int(connection.num_message_bits > 0)
        row[codes.LINK_PORT] = port
        row[codes.LINK_EXPONENT] = sum_exponent(connection, self.arithmetic)
        row[codes.LINK_RING] = -1
        # Lava adds up in 64 bits where a dense connection has delays, in 32 bits everywhere else.
        row[codes.LINK_WIDE] = int(isinstance(connection, Dense) and connection.delays is not None)
        if isinstance(connection, Conv):
            row[codes.LINK_KIND], row[codes.LINK_OFFSET] = codes.LINK_CONV, len(self.conv)
            self._add_conv(connection)
        elif isinstance(connection, Dense) and connection.delays is None:
            row[codes.LINK_KIND], row[codes.LINK_OFFSET] = codes.LINK_ROWS, sum(part.size for part in self.rows)
            self.rows.append(chip_weights(connection.weights, connection, self.arithmetic).T.ravel())
        else:
            delayed = connection.delays is not None
            row[codes.LINK_KIND] = codes.LINK_DELAYED if delayed else codes.LINK_CSR
            row[codes.LINK_OFFSET] = sum(part.size for part in self.start)
            if delayed:
                row[codes.LINK_RING] = self.rings[port, self.network.offsets[connection.target]]
            self._add_synapses(connection)
        self.table.append(row)

    def _add_conv(self, connection: Conv) -> None:
        weights = np.asarray(connection.weights)
        first = sum(part.size for part in self.rows)
        (sx, sy), (px, py), (dx, dy) = connection.geometry
        out = connection.output_shape
        self.conv.append(
            [*connection.input_shape, *out, weights.shape[1], weights.shape[2], sx, sy, px, py, dx, dy,
             connection.groups, first]
        )  # fmt: skip
        self.rows.append(weights.ravel())

    def _add_synapses(self, connection: IntegerConnection) -> None:
        """Append synapses by presynaptic neuron; a dense connection stores all of its pairs."""
        n_post, n_pre = connection.shape
        if isinstance(connection, Dense):
            col, row = (part.ravel() for part in np.indices((n_pre, n_post)))
            data, delays = np.asarray(connection.weights).T.ravel(), connection.delays
            delay = np.zeros(data.size, np.int64) if delays is None else np.asarray(delays).T.ravel()
        else:
            sparse = connection.as_sparse()
            row, col, data = np.asarray(sparse.row), np.asarray(sparse.col), np.asarray(sparse.data)
            delay = np.zeros(data.size, np.int64) if sparse.delays is None else np.asarray(sparse.delays)
        first = sum(part[0].size for part in self.synapses)
        per_row = np.bincount(col, minlength=n_pre)
        self.start.append(first + np.concatenate([[0], np.cumsum(per_row)]).astype(np.int64))
        self.synapses.append((row, chip_weights(data, connection, self.arithmetic), delay))

    def arrays(
        self, setting: npt.NDArray[np.int64], param: npt.NDArray[np.int32], rest: npt.NDArray[np.int32]
    ) -> ModelArrays:
        """Return everything, joined."""
        none = np.zeros(0, np.int64)
        target, weight, delay = (np.concatenate([none, *(part[i] for part in self.synapses)]) for i in range(3))
        return ModelArrays(
            setting=setting,
            param=param,
            rest=rest,
            link=np.array(self.table, np.int64).reshape(-1, codes.N_LINK_COLUMNS),
            rows=np.concatenate([none, *self.rows]).astype(np.int16),
            start=np.concatenate([none, *self.start]).astype(np.int64),
            target=target.astype(np.int32),
            weight=weight.astype(np.int16),
            delay=delay.astype(np.uint8),
            conv=np.array(self.conv, np.int64).reshape(-1, codes.N_CONV_COLUMNS),
            ring=np.array(self.ring_rows, np.int64).reshape(-1, 5),
        )
