"""All connections in one place: float weights, or chip integers: dense, sparse, one-to-one, convolution."""

from __future__ import annotations

from neurosim.convolution import Conv as Conv
from neurosim.convolution import ConvConnection as ConvConnection
from neurosim.dense_connections import Connection as Connection
from neurosim.dense_connections import Dense as Dense
from neurosim.sparse_connections import OneToOne as OneToOne
from neurosim.sparse_connections import Sparse as Sparse
from neurosim.sparse_connections import SparseConnection as SparseConnection

IntegerConnection = Dense | Sparse | OneToOne | Conv
AnyConnection = Connection | IntegerConnection
