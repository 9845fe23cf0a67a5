"""Vectors in fewer bytes: a bit a dim to find candidates with, and a byte a dim, or a second bit, to score them.

A vector x is held by its rest r = R (x - c): around the mean c of the index's vectors, which embeddings of small models
lie close to, and rotated by a fixed R, so that no few dims carry most of it (RaBitQ, arXiv 2405.12497):

    bits         sign(r), packed; near vectors differ in few bits (Hamming distance), which LanceDB searches
    magnitudes   whether |r| is above .98 of its root mean square, packed; with the sign, one of four levels l
    scale        s = r . r / r . l: s l is an unbiased estimate of r along r itself, as RaBitQ has it for signs alone
    codes        r / t rounded to whole numbers from -127 to 127, t the largest |r| over 127

A query q stays in float32 and is scored against what is held: q . c + R q . (s l), or q . c + R q . (t codes). Signs
alone lose .037 nDCG@10 on Cranfield with all-MiniLM-L6-v2, four levels .001 (docs/log.md).

R is four rounds of random signs and a Hadamard transform over the first, then the last 2^k dims: D log D sums, and
nothing in it depends on a library's rounding, so that an index is the same on every machine.

Letters: N vectors, D dims, B bytes of bits.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Bits = NDArray[np.uint8]
Codes = NDArray[np.int8]

_ROUNDS = 4
_LARGE = 0.9816
_LEVELS = (0.4528, 1.510)
"""The best four levels for normal values, as a rotation makes them, and where they part (Max, 1960), in root mean
squares."""
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True, eq=False)
class Rest:
    """What of vectors is left around a centre, rotated.

    Attributes:
        values: [N, D] float32.
    """

    values: Vectors

    @classmethod
    def of(cls, vectors: Vectors, centre: Vectors) -> "Rest":
        """Take it of vectors [N, D] around a centre [D]."""
        return cls(rotate(vectors - centre))

    @property
    def bits(self) -> Bits:
        """Signs, packed: [N, B]."""
        return np.packbits(self.values > 0, axis=1)

    @property
    def magnitudes(self) -> Bits:
        """Whether each value is large for its vector, packed: [N, B]."""
        mean_squares = np.square(self.values).mean(axis=1, keepdims=True)
        return np.packbits(np.abs(self.values) > _LARGE * np.sqrt(mean_squares), axis=1)

    @property
    def levels_scales(self) -> Vectors:
        """Scale of the levels: [N]."""
        squares = np.square(self.values).sum(axis=1)
        products = (self.values * _levels(self.bits, self.magnitudes, self.values.shape[1])).sum(axis=1)
        return np.asarray(squares / np.maximum(products, _TINY), dtype=np.float32)

    @property
    def codes_scales(self) -> Vectors:
        """Scale of the codes: [N]."""
        return np.asarray(np.abs(self.values).max(axis=1) / np.float32(127), dtype=np.float32)

    @property
    def codes(self) -> Codes:
        """The rest in whole numbers: [N, D]."""
        return np.rint(self.values / np.maximum(self.codes_scales, _TINY)[:, None]).astype(np.int8)


@dataclass(frozen=True, eq=False)
class QuantizedQuery:
    """A query, ready to be compared with what is held of vectors.

    Attributes:
        product: q . c.
        rotated: R q, [D].
        bits: [B] signs of R (q - c), to find candidates with.
    """

    product: float
    rotated: Vectors
    bits: Bits

    @classmethod
    def of(cls, query: Vectors, centre: Vectors) -> "QuantizedQuery":
        """Prepare a query [D]."""
        return cls(float(query @ centre), rotate(query[None])[0], Rest.of(query[None], centre).bits[0])

    def levels_scores(self, bits: Bits, magnitudes: Bits, scales: Vectors) -> Vectors:
        """Estimate the products with vectors held by bits and magnitudes [N, B] and scales [N]: [N]."""
        levels = _levels(bits, magnitudes, len(self.rotated))
        return np.asarray(self.product + scales * (levels @ self.rotated), dtype=np.float32)

    def codes_scores(self, codes: Codes, scales: Vectors) -> Vectors:
        """Estimate the products with vectors held by codes [N, D] and scales [N]: [N]."""
        return np.asarray(self.product + scales * (codes.astype(np.float32) @ self.rotated), dtype=np.float32)


def num_bytes(dims: int) -> int:
    """Bytes that the bits of a vector take."""
    return -(-dims // 8)


def _levels(bits: Bits, magnitudes: Bits, dims: int) -> Vectors:
    """Level of each value: [N, D], for bits and magnitudes [N, B]."""
    small, large = map(np.float32, _LEVELS)
    signs, are_large = (np.unpackbits(part, axis=1, count=dims).astype(np.float32) for part in (bits, magnitudes))
    return np.asarray((signs * 2 - 1) * (small + (large - small) * are_large), dtype=np.float32)


def rotate(vectors: Vectors) -> Vectors:
    """Rotate vectors [N, D] by the fixed rotation of their width; lengths and products stay."""
    dims = vectors.shape[1]
    block = 1 << (dims.bit_length() - 1)
    rotated = np.array(vectors, dtype=np.float32)
    for number, signs in enumerate(_signs(dims)):
        rotated *= signs
        part = slice(0, block) if number % 2 == 0 else slice(dims - block, dims)
        rotated[:, part] = _hadamard(rotated[:, part])
    return rotated


def _hadamard(vectors: Vectors) -> Vectors:
    """Hadamard transform of vectors [N, 2^k], scaled to keep their length."""
    num, width = vectors.shape
    found, step = np.ascontiguousarray(vectors), 1
    while step < width:
        pairs = found.reshape(num, width // (2 * step), 2, step)
        found = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        step *= 2
    return np.asarray(found.reshape(num, width) / np.sqrt(np.float32(width)), dtype=np.float32)


@lru_cache
def _signs(dims: int) -> Vectors:
    """Signs of the rounds: [rounds, D], from a hash, the same everywhere."""
    needed = num_bytes(_ROUNDS * dims)
    digests = b"".join(sha256(b"slimvec %d %d" % (dims, number)).digest() for number in range(-(-needed // 32)))
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8), count=_ROUNDS * dims)
    return (bits.astype(np.float32) * 2 - 1).reshape(_ROUNDS, dims)
