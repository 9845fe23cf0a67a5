"""Published models beside the libraries that they were made for: `python -m benchmarks.real_models MODEL...`.

A folder of sentence-transformers (EmbeddingGemma) is embedded by that library, in both roles: cosine >= .9999 wanted. A
`.gguf` file (Qwen2.5) is embedded by llama.cpp, and by transformers on the file unpacked to float32: equal token ids
wanted, cosine >= .9995 with transformers and >= .99 with llama.cpp, which multiplies in 8 bits.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from slimvec.engine.embedder import Embedder
from slimvec.model.golden import TEXTS
from slimvec.text.prompts import ROLES

LEAST = {"sentence-transformers": 0.9999, "transformers": 0.9995, "llama.cpp": 0.99, "equal ids": 1.0}
_LONG = "A text that is longer than the window of a sliding layer. " * 60
_Vectors = NDArray[np.float32]


def beside_sentence_transformers(folder: Path, texts: Sequence[str]) -> dict[str, float]:
    """Give the lowest cosine with sentence-transformers' vectors, over both roles."""
    from sentence_transformers import SentenceTransformer

    ours = Embedder.load(folder, dtype="float32")
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    calls = {"query": model.encode_query, "document": model.encode_document}
    theirs = {role: np.stack([calls[role](text) for text in texts]) for role in ROLES}
    return {"sentence-transformers": min(lowest(ours.embed(texts, role=role).vectors, theirs[role]) for role in ROLES)}


def beside_llama_cpp(file: Path, texts: Sequence[str]) -> dict[str, float]:
    """Give the share of texts with equal ids, and the lowest cosines with llama.cpp's and transformers' mean states."""
    from llama_cpp import LLAMA_POOLING_TYPE_MEAN, Llama
    from transformers import AutoModel

    ours = Embedder.load(file, dtype="float32", pooling="mean")
    room = {"n_ctx": 2048, "n_batch": 2048, "n_ubatch": 2048}
    llama = Llama(str(file), embedding=True, pooling_type=LLAMA_POOLING_TYPE_MEAN, verbose=False, **room)
    model = AutoModel.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    ids = ours.tokenizer.tokenize(texts).sequences
    equal = [llama.tokenize(text.encode(), special=True) == own for text, own in zip(texts, ids, strict=True)]
    with torch.inference_mode():
        states = [model(torch.tensor([own])).last_hidden_state[0].mean(dim=0) for own in ids]
    vectors = ours.embed_documents(texts)
    return {
        "equal ids": sum(equal) / len(equal),
        "llama.cpp": lowest(vectors, np.asarray([llama.embed(text) for text in texts], dtype=np.float32)),
        "transformers": lowest(vectors, torch.stack(states).numpy()),
    }


def lowest(ours: _Vectors, theirs: _Vectors) -> float:
    """Give the lowest cosine between the rows of two matrices [N, D]."""
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(axis=1) / lengths).min())


def misses(found: Mapping[str, float]) -> list[str]:
    """Name the figures that are below what is wanted."""
    return [name for name, value in found.items() if not value >= LEAST[name]]


def main() -> int:
    """Compare every model; exit code 1 where a figure is below what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--texts", type=int, default=len(TEXTS), help="how many of the golden texts (default all)")
    options = parser.parse_args()
    missed = False
    for model in options.models:
        texts = list(TEXTS[: options.texts])
        found = (
            beside_llama_cpp(model, texts) if model.is_file() else beside_sentence_transformers(model, [*texts, _LONG])
        )
        missed |= bool(misses(found))
        print(json.dumps({"model": model.name, **found, "missed": misses(found)}), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
