"""Puts a trained adapter into slimvec's package, as one of its own models.

    python recipes/pack_model.py build/slimvec-en slimvec-en build/slimvec-en-data

Weights are rounded to bfloat16, the long side of an update of token embeddings to 8 bits (float8_e4m3fn; PEFT reads it
too): that is twice the rank in as many bytes, and a bag of SmolLM2's tokens comes to a cosine of .76 with MiniLM-L6 at
rank 256, of .69 at 128. The error, 2.7% of the update, moves vectors by a cosine of .0001. The vectors are turned so
that narrower widths keep the most of them, as `slimvec adjust --axes` does. Golden vectors are computed anew from the
rounded weights, the tokenizer is left to the base, and paths of this machine are taken out of what is said about the
training. Prints the entry to put into src/slimvec/model/builtin.py, with the hash and with the licence that base and
teachers leave it. The card is written by hand, scores.json by benchmarks/models.py.
"""

import json
import math
import re
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from slimvec.data.texts import read_texts
from slimvec.engine.embedder import Embedder
from slimvec.files import sha256_of
from slimvec.model.axes import axis_widths, fit_axes, sample, turn_axes
from slimvec.model.builtin import BUILTINS, PACKAGED, TOKENIZER_FILES
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.folder import embedder_by_role, load_model
from slimvec.model.golden import GOLDEN_NAME, write_golden
from slimvec.model.manifest import read_manifest

KEPT = ("README.md", "scores.json")
MAX_BYTES = 16 << 20
ABSOLUTE = re.compile(r"(?<![\w:/.])/(?:[\w.+-]+/)+([\w.+-]+)")
"""A path of this machine; what it is called stays."""


def pack(trained: Path, name: str, data: Path) -> Path:
    """Write the package's folder of a model, with what was left out of its data."""
    target = PACKAGED / name
    kept = {file: (target / file).read_bytes() for file in KEPT if (target / file).is_file()}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / name
        shutil.copytree(trained, work, ignore=shutil.ignore_patterns("metrics.jsonl", "tensorboard", "README.md"))
        for path in work.rglob("*.safetensors"):
            save_file(narrowed(load_file(path)), path, metadata={"format": "pt"})
        _blank_golden(trained, work)
        model = load_model(work, dtype=torch.float32)
        _turn(model, work, data)
        write_golden(work, embedder_by_role(model), dtype="float32")
        for path in work.rglob("*"):
            if path.suffix in (".json", ".md", ".yaml"):
                path.write_text(ABSOLUTE.sub(r"\1", path.read_text(encoding="utf-8")), encoding="utf-8")
        shutil.copyfile(data / "cleaning.json", work / "cleaning.json")
        for file in TOKENIZER_FILES:
            (work / file).unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work, target)
    for file, content in kept.items():
        (target / file).write_bytes(content)
    return target


def narrowed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Round the weights of an adapter as said above, by name.

    Powers of two are moved from B to A, which changes no product and no number's digits, so that A uses the range of
    its 8 bits.
    """
    found = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}
    for long in (name for name in tensors if "lora_embedding_A" in name):
        short = long.replace("lora_embedding_A", "lora_embedding_B")
        largest = float(tensors[long].abs().max())
        factor = 2.0 ** math.floor(math.log2(torch.finfo(torch.float8_e4m3fn).max / largest))
        found[long] = (tensors[long].float() * factor).to(torch.float8_e4m3fn).contiguous()
        found[short] = (tensors[short].float() / factor).to(torch.bfloat16).contiguous()
    return found


def _turn(model: EmbeddingModel, work: Path, data: Path) -> None:
    """Turn a model's vectors for its trained widths by texts it learnt from, in the model and in its folder's head."""
    embedder = Embedder.load(work)
    texts = sample(read_texts(data / "texts.jsonl.gz"))
    widths = axis_widths(model.spec, embedder.dims)
    turn_axes(model, fit_axes(torch.from_numpy(embedder.embed_documents(texts)), widths))
    (dense,) = model.head.layers  # all of our models end in one linear layer
    rounded = narrowed(dense.state_dict())
    save_file(rounded, work / "2_Dense" / "model.safetensors", metadata={"format": "pt"})
    dense.load_state_dict(rounded)


def _blank_golden(trained: Path, work: Path) -> None:
    """Let the rounded model be loaded once: the vectors from before are near enough where their dtype is not said."""
    content = json.loads((trained / GOLDEN_NAME).read_text())
    (work / GOLDEN_NAME).write_text(json.dumps({**content, "dtype": ""}))


def entry_of(target: Path) -> str:
    """Give the entry of a packed model: a licence that base or a teacher binds it to, else the base's.

    Args:
        target: Its folder; the recipe in it names the teachers.
    """
    manifest = read_manifest(target)
    base = manifest.base.source if manifest is not None and manifest.base is not None else None
    if base not in BUILTINS:
        sys.exit(f"error: {target} is on {base}; expected a built-in model")
    recipe = (target / "recipe.yaml").read_text(encoding="utf-8")
    used = [base, *(name for name in BUILTINS if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", recipe))]
    licence = next((BUILTINS[name].licence for name in used if BUILTINS[name].terms), BUILTINS[base].licence)
    return f"""    "{target.name}": Builtin(
        wheels=(),
        weights=("adapter_model.safetensors",),
        sha256="{sha256_of(target / "adapter_model.safetensors")}",
        licence="{licence}",
        base="{base}",
    ),
"""


def main() -> None:
    """Pack the model that the arguments name."""
    target = pack(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > MAX_BYTES:
        sys.exit(f"error: {target} has {size:,} bytes; expected at most {MAX_BYTES:,}")
    sys.stdout.write(f"{target}: {size:,} bytes\n{entry_of(target)}")
    missing = [file for file in KEPT if not (target / file).is_file()]
    if missing:
        sys.stdout.write(f"still to be written: {', '.join(missing)}\n")


if __name__ == "__main__":
    main()
