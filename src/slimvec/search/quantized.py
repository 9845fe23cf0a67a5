"""Vectors in fewer bytes: a bit a dim to find candidates with, and a byte a dim, or the bit, to score them.

A vector x is held around the mean c of the index's vectors, which embeddings of small models lie close together around:

    bits    sign(x - c), packed; near ones differ in few bits (Hamming distance), which LanceDB searches
    scale   s, the mean of |x - c|: c + s sign(x - c) is the vector with those signs that is nearest to x
    codes   x / t rounded to whole numbers from -127 to 127, t the largest |x| over 127

A query stays in float32 and is scored against what is held: q . (c + s signs), or t q . codes. The first is the
estimate that RaBitQ (arXiv 2405.12497) corrects for a random rotation; the second is exact to about .001.

Letters: N vectors, D dims, B bytes of bits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Bits = NDArray[np.uint8]
Codes = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class BinaryVectors:
    """Bits of vectors, and their scales.

    Attributes:
        bits: [N, B] uint8.
        scales: [N] float32.
    """

    bits: Bits
    scales: Vectors

    def scores(self, query: Vectors, centre: Vectors) -> Vectors:
        """Estimate the products of a query [D] with the vectors: [N]."""
        signs = np.unpackbits(self.bits, axis=1, count=len(query)).astype(np.float32) * 2 - 1
        return np.asarray(query @ centre + self.scales * (signs @ query), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Int8Vectors:
    """Vectors in whole numbers.

    Attributes:
        codes: [N, D] int8.
        scales: [N] float32.
    """

    codes: Codes
    scales: Vectors

    def scores(self, query: Vectors) -> Vectors:
        """Products of a query [D] with the vectors: [N]."""
        return np.asarray(self.scales * (self.codes.astype(np.float32) @ query), dtype=np.float32)


def num_bytes(dims: int) -> int:
    """Bytes that the bits of a vector take."""
    return -(-dims // 8)


def pack_bits(vectors: Vectors, centre: Vectors) -> Bits:
    """Signs of vectors [N, D] around a centre [D], packed: [N, B]."""
    return np.packbits(vectors > centre, axis=1)


def to_binary(vectors: Vectors, centre: Vectors) -> BinaryVectors:
    """Hold vectors [N, D] by their signs around a centre [D]."""
    return BinaryVectors(pack_bits(vectors, centre), np.abs(vectors - centre).mean(axis=1, dtype=np.float32))


def to_int8(vectors: Vectors) -> Int8Vectors:
    """Hold vectors [N, D] in whole numbers."""
    scales = np.abs(vectors).max(axis=1) / np.float32(127)
    codes = np.rint(vectors / np.maximum(scales, np.finfo(np.float32).tiny)[:, None]).astype(np.int8)
    return Int8Vectors(codes, scales)
