"""How groups lie in a NIR graph: as images beside convolutions, else as a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurosim.exchange.imported import Order, chip_order
from neurosim.network import Conv, ConvConnection, Network

Shape = tuple[int, ...]


class Place(NamedTuple):
    """Shape of a group in NIR, and the element of it, in C order, that each neuron is: (n,) int64."""

    shape: Shape
    order: Order


def group_places(network: Network) -> dict[str, Place]:
    """Return how each group of a network lies in NIR, where elements of images are (channel, row, column).

    A group is an image where convolutions end or begin. One that other connections enter too is a row, because NIR cannot make
    an image of a row; it keeps the order of the image.

    Examples
    --------
    >>> from neurosim.network import LIF, Input
    >>> conv = Conv("in", "out", np.ones((1, 2, 1, 2), np.int64), (2, 1, 2))
    >>> place = group_places(Network([Input("in", 4), LIF("out", 1)], [conv]))["in"]
    >>> place.shape, place.order.tolist()
    ((2, 1, 2), [0, 2, 1, 3])
    """
    images: dict[str, set[Shape]] = {group.name: set() for group in network.groups}
    entered_otherwise = set()
    for connection in network.connections:
        if isinstance(connection, (Conv, ConvConnection)):
            images[connection.source].add(as_torch(connection.input_shape))
            images[connection.target].add(as_torch(connection.output_shape))
        else:
            entered_otherwise.add(connection.target)
    places = {}
    for group in network.groups:
        if len(images[group.name]) == 1:
            (image,) = images[group.name]
            places[group.name] = Place((group.n,) if group.name in entered_otherwise else image, chip_order(image))
        else:
            places[group.name] = Place((group.n,), np.arange(group.n, dtype=np.int64))
    return places


def as_torch(shape: tuple[int, int, int]) -> Shape:
    width, height, channels = shape
    return channels, height, width
