"""The axes along which vectors vary most."""

import numpy as np
from numpy.typing import NDArray


def principal_axes(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the axes along which vectors vary most, about the origin: cosines are about it too.

    Args:
        moments: [E, E], sum of the vectors' outer products.

    Returns:
        [E, E] orthogonal, columns by falling variance, the largest number of each positive, so that they are the same
        in every run.
    """
    _, axes = np.linalg.eigh(moments)
    axes = axes[:, ::-1]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    return np.ascontiguousarray(axes * np.where(signs == 0, 1.0, signs))
