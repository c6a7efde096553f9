"""Read weights that SLAYER trained for Loihi 1 from a folder of text files, as networks in chip integers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError, NetworkError
from neurosim.exchange.chipweights import exact_dense
from neurosim.exchange.imported import Imported, ImportNote, Port, chip_order
from neurosim.exchange.lavalayers import MAX_NEURONS, weight_exponent
from neurosim.exchange.lavaneurons import integers, make_neurons
from neurosim.exchange.slayeryaml import read_yaml
from neurosim.fixedpoint import DEFAULT_ARITHMETIC
from neurosim.network import AnyConnection, Group, Input, Network

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
INPUT = "input"
MAX_BYTES = 1 << 27  # of one text file
MAX_FILES = 100
MAX_WEIGHTS = 1 << 24  # of one layer
MAX_DESCRIPTION = 1 << 16  # bytes
MAX_LINE, BLOCK = 1 << 22, 1 << 20  # characters
#: Names of files with weights; the number says which layer.
WEIGHTS = re.compile(r"(?:w(\d+).*|.*Fc(\d+))\.txt")


def read_slayer(
    folder: str | os.PathLike[str], *, sizes: Sequence[int] | None = None, weight_scale: float | None = None,
    name: str | None = None, arithmetic: str = DEFAULT_ARITHMETIC,
) -> Imported:  # fmt: skip
    """Read fully connected layers from a folder with one YAML description and one text file of weights per layer.

    The description gives the constants of all neurons (``neuron``) and mostly the sizes (``layer``, a list of ``{dim: n}``).
    Weights lie in files ``w1*.txt``, ``w2*.txt`` or ``*Fc1.txt``, ``*Fc2.txt``: numbers row by row, a row for each neuron
    after the connection. Groups are "input", "fc1", "fc2" and so on. One step of delay for each layer, as on the chip.

    Parameters
    ----------
    folder : path-like
    sizes : sequence of int, optional
        Neurons of the input and of each layer, where the description has none.
    weight_scale : float, optional
        The files hold weights before quantisation: the chip's are ``2 round(weight_scale w / 2)``, even numbers. Without it
        they must be integers.
    name : str, optional
        Of the network; the folder's without it.
    arithmetic : {"lava-0.10", "loihi1", "lava-dl"}

    Raises
    ------
    ModelFileError
        If a file is missing, damaged or too large, sizes do not fit, or a neuron has no exact counterpart here.
    """
    path = Path(folder)
    owner = f"folder {str(folder)!r}"
    described, files = _contents(path, owner)
    description = read_yaml("".join(_text(described, MAX_DESCRIPTION)), f"file {str(described)!r}")
    neuron = description.get("neuron")
    if not isinstance(neuron, dict):
        raise ModelFileError(
            f"file {str(described)!r}: has no neuron; give the constants vThMant, vDecay, iDecay, refDelay"
        )
    sizes = _sizes(description, f"file {str(described)!r}", sizes, len(files))
    matrices = []
    for file, n_pre, n_post in zip(files, sizes[:-1], sizes[1:], strict=True):
        weights = _numbers(file, n_post, n_pre)
        if weight_scale is not None:
            weights = 2 * np.rint(weight_scale * weights / 2)
        matrices.append(integers(f"file {str(file)!r}", "weights", weights).reshape(n_post, n_pre))
    simulation = description.get("simulation", {})
    simulation = simulation if isinstance(simulation, dict) else {}
    step_ms = simulation.get("Ts", 1.0)
    if not isinstance(step_ms, (int, float)) or not 0 < step_ms < 1e6:
        raise ModelFileError(f"file {str(described)!r}: simulation Ts {step_ms!r} is no length of a step in ms")
    found = network_of_matrices(name or path.resolve().name, matrices, neuron, dt=step_ms * 1e-3, arithmetic=arithmetic)
    kept = {key: value for key, value in simulation.items() if isinstance(value, (int, float))}
    source = {**found.source, **kept, "weight_scale": weight_scale, "files": [file.name for file in files]}
    return Imported(
        found.network, found.inputs, found.outputs, "slayer", source, found.notes, found.lag, found.arithmetic
    )


def network_of_matrices(
    name: str, matrices: Sequence[npt.ArrayLike], neuron: Mapping[str, Any] | Sequence[Mapping[str, Any]], *,
    recurrent: Mapping[int, npt.ArrayLike] | None = None, dt: float = 1e-3, arithmetic: str = DEFAULT_ARITHMETIC,
) -> Imported:  # fmt: skip
    """Return fully connected layers of integer weights as a network, with constants in SLAYER's terms.

    Parameters
    ----------
    name : str
    matrices : sequence of (n_post, n_pre) int
        Of each layer in order.
    neuron : mapping, or one for each layer
        ``vThMant``, ``vDecay``, ``iDecay`` (4096: no memory), ``refDelay`` and ``wgtExp``; ``type`` is "LOIHI" where it is
        absent.
    recurrent : mapping of int to (n, n) int, optional
        Weights within layers, counted from 0.
    dt, arithmetic
        As in `Network` and `neurosim.compile_network.compile`.

    Examples
    --------
    >>> constants = {"vThMant": 80, "vDecay": 128, "iDecay": 1024}
    >>> [group.name for group in network_of_matrices("xor", [[[2, -4]], [[6]]], constants).network.groups]
    ['input', 'fc1', 'fc2']
    """
    owner = f"network {name!r}"
    weights = [_matrix(owner, i, matrix) for i, matrix in enumerate(matrices)]
    if not weights or any(a.shape[0] != b.shape[1] for a, b in zip(weights[:-1], weights[1:], strict=True)):
        raise ModelFileError(
            f"{owner}: matrices of shapes {[w.shape for w in weights]} do not follow each other (after, before)"
        )
    each = [neuron] * len(weights) if isinstance(neuron, Mapping) else list(neuron)
    if len(each) != len(weights):
        raise ModelFileError(
            f"{owner}: constants of {len(each)} layers for {len(weights)} matrices; give one or as many"
        )
    groups: list[Group] = [Input(INPUT, weights[0].shape[1])]
    connections: list[AnyConnection] = []
    notes: list[ImportNote] = []
    for i, (matrix, stored) in enumerate(zip(weights, each, strict=True)):
        where, layer = f"{owner}, layer {i + 1}", {"neuron": {"type": "LOIHI"} | dict(stored)}
        within = None if recurrent is None else recurrent.get(i)
        links = [(groups[-1].name, matrix)] + ([] if within is None else [(f"fc{i + 1}", _matrix(owner, i, within))])
        try:
            groups.append(make_neurons(where, f"fc{i + 1}", layer["neuron"], (len(matrix),)).group)
            for source, values in links:
                made, lost = exact_dense(
                    source, f"fc{i + 1}", values, weight_exponent(where, layer), convolve=arithmetic != "loihi1"
                )
                connections.append(made)
                if lost:
                    notes.append(ImportNote(made.name, "warning", lost))
        except NetworkError as error:
            raise ModelFileError(f"{where}: {error}") from error
    inputs, outputs = ((group.n,) for group in (groups[0], groups[-1]))
    return Imported(
        Network(groups, connections, dt=dt, name=name), Port(INPUT, inputs, chip_order(inputs)),
        Port(groups[-1].name, outputs, chip_order(outputs)), "slayer", {"layers": len(weights), "spike": "unit"},
        tuple(notes), {}, arithmetic,
    )  # fmt: skip


def _matrix(owner: str, i: int, value: npt.ArrayLike) -> Ints:
    matrix = integers(f"{owner}, layer {i + 1}", "weights", value)
    if matrix.ndim != 2 or not matrix.size:
        raise ModelFileError(f"{owner}, layer {i + 1}: weights have shape {matrix.shape}, not (after, before)")
    return matrix


def _contents(path: Path, owner: str) -> tuple[Path, list[Path]]:
    """Return the description and the files of weights in their order."""
    if not path.is_dir():
        raise ModelFileError(f"{owner}: is not a folder; give one with a .yaml file and weights (w1*.txt or *Fc1.txt)")
    described = sorted(path.glob("*.yaml"))
    if len(described) != 1:
        raise ModelFileError(f"{owner}: has {len(described)} .yaml files, one is needed")
    numbered: dict[int, Path] = {}
    for file in sorted(path.glob("*.txt")):
        found = WEIGHTS.fullmatch(file.name)
        if found is None:
            continue
        number = int(found.group(1) or found.group(2))
        if number in numbered:
            raise ModelFileError(
                f"{owner}: {numbered[number].name} and {file.name} are both layer {number}; remove one"
            )
        numbered[number] = file
    if not numbered or len(numbered) > MAX_FILES or sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise ModelFileError(
            f"{owner}: files of weights are numbered {sorted(numbered)[:20]}, need 1, 2 ...; names are w1*.txt or *Fc1.txt"
        )
    return described[0], [numbered[i] for i in sorted(numbered)]


def _text(file: Path, limit: int) -> Iterator[str]:
    """Give the text of a file of bounded size in blocks that end between words."""
    rest = ""
    try:
        n_bytes = file.stat().st_size
        if n_bytes > limit:
            raise ModelFileError(f"file {str(file)!r}: has {n_bytes} bytes, {limit} are read")
        with file.open(encoding="utf-8") as stream:
            while block := stream.read(BLOCK):
                words, space, tail = (rest + block).rpartition("\n")
                yield words + space
                rest = tail
                if len(rest) > MAX_LINE:
                    raise ModelFileError(
                        f"file {str(file)!r}: has a line of more than {MAX_LINE} characters; get it anew"
                    )
        yield rest
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"file {str(file)!r}: cannot be read ({error})") from error


def _numbers(file: Path, n_post: int, n_pre: int) -> Floats:
    """Return as many numbers as there are weights."""
    wanted = f"{n_post} x {n_pre} are {n_post * n_pre}; give other sizes"
    parts, n = [np.empty(0)], 0
    for block in _text(file, MAX_BYTES):
        try:
            parts.append(np.array(block.split(), dtype=np.float64))
        except ValueError as error:
            raise ModelFileError(
                f"file {str(file)!r}: holds something else than numbers ({error}); get it anew"
            ) from error
        n += parts[-1].size
        if n > n_post * n_pre:
            raise ModelFileError(f"file {str(file)!r}: holds more than {n_post * n_pre} weights, {wanted}")
    if n != n_post * n_pre:
        raise ModelFileError(f"file {str(file)!r}: holds {n} weights, {wanted}")
    found = np.concatenate(parts)
    if not np.all(np.isfinite(found)):
        raise ModelFileError(f"file {str(file)!r}: holds weights that are not finite; get it anew")
    return found


def _sizes(description: Mapping[str, Any], owner: str, given: Sequence[int] | None, n_layers: int) -> list[int]:
    """Return the sizes of the input and of all layers."""
    listed = description.get("layer")
    if given is None and listed is None:
        raise ModelFileError(
            f"{owner}: does not say how large the layers are; give sizes=(inputs, layer 1, ...), or "
            "add a list 'layer:' to it with '- {dim: n}' for the inputs and each layer"
        )
    items = list(given) if given is not None else list(listed) if isinstance(listed, list) else []
    sizes: list[Any] = [item.get("dim") if isinstance(item, dict) else item for item in items]
    if any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 0 < n <= MAX_NEURONS for n in sizes):
        raise ModelFileError(
            f"{owner}: sizes {sizes[:10]} are not whole numbers up to {MAX_NEURONS}; only dense layers are read"
        )
    if len(sizes) != n_layers + 1:
        raise ModelFileError(
            f"{owner}: {len(sizes)} sizes for {n_layers} files of weights; one more than files is needed"
        )
    if max(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True)) > MAX_WEIGHTS:
        raise ModelFileError(f"{owner}: sizes {sizes[:10]} need more than {MAX_WEIGHTS} weights in one layer")
    return [int(n) for n in sizes]
