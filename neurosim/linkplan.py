"""Lay out for learning what is not a dense row: stored synapses, convolutions, and the chip's copies of their weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    CONV_FIRST,
    FORMAT,
    FORMAT_CSR,
    FORMAT_DENSE8,
    KIND,
    KIND_SYNAPSES,
    LINK_CONNECTION,
    LINK_CONV,
    LINK_KIND,
    LINK_OFFSET,
    LINK_PORT,
    LINK_ROWS,
    LINK_VALUES,
    MODEL,
    MODEL_INPUT,
    MODEL_LIF,
    OFFSET,
    TARGET_BITS,
    TARGET_MASK,
    WEIGHT_BITS,
)
from neurosim.fixedpoint import lost_weight_bits
from neurosim.layerplan import lay_lanes
from neurosim.learnplan import LearnPlan
from neurosim.network import Connection, Conv
from neurosim.program import ModelArrays, Program, ProgramArrays, aligned_copy
from neurosim.reaches import Reaches, lay_reaches


class Links(NamedTuple):
    """Where the weights of plastic connections lie, and the kernels of all convolutions; P of C connections are plastic.

    Kernels lie in the order (tap, in channel, out channel of the group): a spike adds rows of out channels.
    """

    chip: npt.NDArray[np.int64]  # (P,) first mantissa of each plastic connection in `ProgramArrays.dense8`
    row: npt.NDArray[np.int64]  # (P,) row of `start` of the first source, of stored synapses
    start: npt.NDArray[np.int64]  # first synapse of each source, and the end of the last one; by connection
    target: npt.NDArray[np.int32]  # neuron of the target group
    conv_of: npt.NDArray[np.int64]  # (C,) which convolution, or -1
    first: npt.NDArray[np.int64]  # (n,) place of each kernel in `kernels`
    reaches: Reaches  # of the n convolutions
    kernels: npt.NDArray[np.int16]  # (S,)
    place: npt.NDArray[np.int64]  # (S,) where each weight of a kernel, in its described order, lies behind its first


class Chip(NamedTuple):
    """A learner's own copies of what holds weights."""

    arrays: ProgramArrays
    models: ModelArrays | None
    links: Links | None  # None where all plastic connections are rows of int8, and nothing is a convolution


def is_layered(program: Program) -> bool:
    """Whether all neurons are plain LIF and all links plain convolutions, which need no state of other models."""
    if program.models is None:
        return True
    plain = np.isin(program.arrays.group[:, MODEL], (MODEL_INPUT, MODEL_LIF)).all()
    link = program.models.link
    return bool(
        plain and np.all((link[:, LINK_KIND] == LINK_CONV) & (link[:, LINK_VALUES] == 0) & (link[:, LINK_PORT] == 0))
    )


def has_lanes(program: Program) -> bool:
    """Whether a learner advances all neurons in lanes, in which each may have a threshold of its own."""
    return program.models is None or (is_layered(program) and len(lay_lanes(program).order) > 0)


def copy_chip(program: Program, plan: LearnPlan) -> Chip:
    """Return copies of the arrays that a learner writes to.

    Connections that are not rows of int8 have their mantissas behind those that are, where updates change them;
    `store_weights` brings them into their formats.
    """
    arrays, models = program.arrays, program.models
    formats = arrays.conn[plan.connections, FORMAT]
    convs = [i for i, c in enumerate(program.network.connections) if isinstance(c, Conv)]
    if (formats == FORMAT_DENSE8).all() and not convs:
        return Chip(arrays._replace(dense8=aligned_copy(arrays.dense8)), models, None)
    chip, end = np.array(arrays.conn[plan.connections, OFFSET]), len(arrays.dense8)
    row, starts, targets, n_rows, n_synapses = np.zeros(len(chip), np.int64), [], [], 0, 0
    for c, index in enumerate(plan.connections):
        if formats[c] != FORMAT_DENSE8:
            chip[c] = end
            end += plan.votes_of(c).stop - plan.votes_of(c).start
        if plan.plastic[c, KIND] == KIND_SYNAPSES:
            connection = program.network.connections[index]
            assert not isinstance(connection, Connection)
            sparse = connection.as_sparse()
            row[c] = n_rows
            starts.append(sparse.start + n_synapses)
            targets.append(sparse.word & TARGET_MASK)
            n_rows, n_synapses = n_rows + len(sparse.start), n_synapses + len(sparse.word)
    dense8 = np.zeros(end, np.int8)
    dense8[: len(arrays.dense8)] = arrays.dense8
    arrays = arrays._replace(dense8=aligned_copy(dense8))
    if (formats == FORMAT_CSR).any():
        arrays = arrays._replace(csr_word=arrays.csr_word.copy())
    if models is not None:
        models = models._replace(rows=models.rows.copy(), weight=models.weight.copy())
    start = np.concatenate([np.zeros(0, np.int64), *starts])
    target = np.concatenate([np.zeros(0, np.int32), *targets]).astype(np.int32)
    return Chip(arrays, models, Links(chip, row, start, target, *_lay_kernels(program, convs)))


def _lay_kernels(
    program: Program, convs: list[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Reaches, npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return `Links.conv_of`, `first`, `reaches`, `kernels` and `place`."""
    conv_of = np.full(len(program.network.connections), -1, np.int64)
    tables, kernels, places, first = [], [], [], 0
    for i, index in enumerate(convs):
        assert program.models is not None
        connection = program.network.connections[index]
        assert isinstance(connection, Conv)
        link = program.models.link[program.models.link[:, LINK_CONNECTION] == index][0]
        conv_of[index] = i
        table = program.models.conv[link[LINK_OFFSET]].copy()
        table[CONV_FIRST] = first
        weights = np.asarray(connection.weights, np.int64)
        place = kernel_places(weights.shape, connection.groups).ravel()
        kernel = np.zeros(weights.size, np.int64)
        kernel[place] = weights.ravel()
        tables.append(table)
        kernels.append(kernel)
        places.append(place)
        first += weights.size
    none, starts = np.zeros(0, np.int64), np.array([table[CONV_FIRST] for table in tables], np.int64)
    laid = np.concatenate([none, *kernels]).astype(np.int16)
    return conv_of, starts, lay_reaches(tables), laid, np.concatenate([none, *places])


def kernel_places(shape: tuple[int, ...], groups: int) -> npt.NDArray[np.int64]:
    """Return the place of each weight (out, kernel_x, kernel_y, in / groups) in the order (tap, in, out / groups).

    Examples
    --------
    >>> kernel_places((2, 1, 1, 3), 1)[:, 0, 0].tolist()
    [[0, 2, 4], [1, 3, 5]]
    """
    n_out, kernel_x, kernel_y, in_group = shape
    o, i, j, channel = np.indices(shape)
    out_group = n_out // groups
    source = o // out_group * in_group + channel
    return np.asarray(((i * kernel_y + j) * in_group * groups + source) * out_group + o % out_group, np.int64)


def store_weights(chip: Chip, plan: LearnPlan, full: npt.NDArray[np.int32], every: bool) -> None:
    """Write the upper bits of weights into the formats that hold them; rows of int8 only if `every`."""
    arrays, models, links = chip.arrays, chip.models, chip.links
    for c, index in enumerate(plan.connections):
        row = arrays.conn[index]
        if row[FORMAT] == FORMAT_DENSE8 and not every:
            continue
        mantissa = full[plan.votes_of(c)] >> plan.residual_bits
        first = int(row[OFFSET] if links is None else links.chip[c])
        arrays.dense8[first : first + len(mantissa)] = mantissa
        if row[FORMAT] == FORMAT_DENSE8:
            continue
        weights = mantissa << lost_weight_bits(int(plan.plastic[c, WEIGHT_BITS]), "mixed")
        if row[FORMAT] == FORMAT_CSR:
            synapse = int(arrays.csr_start[row[OFFSET]])
            word = arrays.csr_word[synapse : synapse + len(weights)]
            word[:] = weights << TARGET_BITS | (word & TARGET_MASK)
            continue
        assert models is not None and links is not None
        link = models.link[models.link[:, LINK_CONNECTION] == index][0]
        if link[LINK_KIND] == LINK_ROWS:
            models.rows[link[LINK_OFFSET] :][: len(weights)] = weights
        elif link[LINK_KIND] == LINK_CONV:
            models.rows[models.conv[link[LINK_OFFSET], CONV_FIRST] :][: len(weights)] = weights
            place = int(links.first[links.conv_of[index]])
            links.kernels[place + links.place[place : place + len(weights)]] = weights
        else:
            synapse = int(models.start[link[LINK_OFFSET]])
            models.weight[synapse : synapse + len(weights)] = weights
