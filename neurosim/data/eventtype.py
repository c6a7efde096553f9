"""Events of a camera or another sensor as a numpy structured array: the form that readers give and transforms take."""

from __future__ import annotations

import numpy as np

#: t in microseconds, not falling; x (column) and y (row) from 0; p: 1 ON, 0 OFF. A sensor in one dimension (a cochlea) has its
#: channel in x, and y = 0. Fields are as tonic and other readers name them.
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
