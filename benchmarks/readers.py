"""Hold saved models against another release of sentence-transformers: `python -m benchmarks.readers PYTHON`.

PYTHON is the interpreter of an environment with that release (and torch, transformers, peft). Tiny models are saved for
every pooling and mode, merged and as adapters, and read there; exit code 1 where a cosine is below 0.9999.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from slimvec.engine.embedder import Embedder
from slimvec.model.adapters import add_lora
from slimvec.model.folder import load_model
from slimvec.model.spec import AttentionMode, LoraSettings, Pooling, PoolingMode
from tests import tiny

TEXTS = ["one text", "another, longer text with more in it", "x"]
POOLINGS: tuple[PoolingMode, ...] = ("mean", "last", "weighted")
LOWEST = 0.9999
READER = """
import json, sys, warnings
warnings.simplefilter("ignore")
import sentence_transformers
texts, folders = json.loads(sys.stdin.readline())
vectors = {}
for folder in folders:
    model = sentence_transformers.SentenceTransformer(folder, device="cpu")
    vectors[folder] = [model.encode_query(texts).tolist(), model.encode_document(texts).tolist()]
print(json.dumps([sentence_transformers.__version__, vectors]))
"""


def save_all(root: Path) -> dict[str, list[torch.Tensor]]:
    """Save a model of every kind and give the vectors of both roles by folder."""
    vectors = {}
    for pooling in POOLINGS:
        for mode in tiny.MODES:
            for merged in (True, False):
                folder = root / f"{pooling}-{mode}-{'merged' if merged else 'adapter'}"
                embedder = _adapted(root / f"base-{folder.name}", pooling, mode)
                embedder.save(folder, merged=merged)
                both = embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS)
                vectors[str(folder)] = [torch.from_numpy(role) for role in both]
    return vectors


def _adapted(base: Path, pooling: PoolingMode, mode: AttentionMode) -> Embedder:
    """Give a tiny model with an adapter that does something."""
    Embedder.from_model(tiny.embedding_model("llama", mode, pooling=Pooling(mode=pooling))).save(base)
    model = load_model(base)
    add_lora(model.backbone, LoraSettings(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter.data, 0, 0.3)
    return Embedder.from_model(model)


def main() -> int:
    """Save, read elsewhere, compare."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as root:
        ours = save_all(Path(root))
        question = json.dumps([TEXTS, list(ours)])
        answer = subprocess.run([sys.argv[1], "-c", READER], input=question, capture_output=True, text=True, check=True)
        version, theirs = json.loads(answer.stdout.splitlines()[-1])
    worst = 1.0
    for folder, roles in ours.items():
        pairs = zip(roles, map(torch.tensor, theirs[folder]), strict=True)
        cosine = min(float(torch.cosine_similarity(a, b).min()) for a, b in pairs)
        worst = min(worst, cosine)
        print(f"{cosine:.6f}  {Path(folder).name}")
    print(f"sentence-transformers {version}: lowest cosine {worst:.6f}, expected {LOWEST} or more")
    return int(worst < LOWEST)


if __name__ == "__main__":
    sys.exit(main())
