"""How a model compares vectors: by cosine, dot product, or one of two distances taken negative."""

import numpy as np
import torch

from slimvec.errors import InputError
from slimvec.model.spec import ModelSpec, Similarity
from slimvec.text.embeddings import Vectors


def compare(queries: Vectors, documents: Vectors, similarity: Similarity) -> Vectors:
    """Compare every query [Q, D] with every document [N, D]: [Q, N].

    Raises:
        InputError: they have other shapes.
    """
    shapes = [np.shape(vectors) for vectors in (queries, documents)]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        found = " and ".join(str(list(shape)) for shape in shapes)
        raise InputError(f"vectors {found}", expected="[Q, D] and [N, D], of one width")
    if similarity in ("euclidean", "manhattan"):
        norm = 2.0 if similarity == "euclidean" else 1.0
        distances: Vectors = torch.cdist(torch.as_tensor(queries), torch.as_tensor(documents), p=norm).numpy()
        return -distances
    if similarity == "cosine":
        queries, documents = unit_rows(queries), unit_rows(documents)
    products: Vectors = queries @ documents.T
    return products


def as_products(queries: Vectors, documents: Vectors, spec: ModelSpec) -> tuple[Vectors, Vectors]:
    """Give vectors [Q, E] and [N, E] whose dot products rank documents as a model's similarity does.

    Raises:
        InputError: the model compares by Manhattan distance, which no product ranks like.
    """
    if spec.similarity == "manhattan":
        raise InputError("a model that compares by Manhattan distance", expected="cosine, dot or euclidean")
    if spec.normalize or spec.similarity == "dot":
        return queries, documents
    if spec.similarity == "cosine":
        return unit_rows(queries), unit_rows(documents)
    # -|q - d|^2 / 2 is q d - |d|^2 / 2 but for what all documents of a query share.
    halves = (documents.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
    ones = np.ones((len(queries), 1), dtype=np.float32)
    return np.hstack([queries, ones]), np.hstack([documents, -halves.astype(np.float32)])


def unit_rows(vectors: Vectors) -> Vectors:
    """Scale rows to unit length."""
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return units
