"""Model folders: written so that sentence-transformers, TEI and vLLM read them, loaded with the attention guard.

A folder holds the transformers files or a PEFT adapter, the sentence-transformers modules, `slimvec.json` and
`golden.json`. It becomes visible only when it is complete.
"""

import copy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from slimvec.errors import ModelError
from slimvec.files import atomic_folder
from slimvec.model.adapters import has_lora, load_lora, merge_lora
from slimvec.model.backbone import TransformersBackbone, load_transformers, read_attention_mode, read_config
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.golden import TEXTS, write_golden
from slimvec.model.guard import check_attention_mode
from slimvec.model.manifest import MANIFEST_NAME, Manifest, Origin, package_versions, read_manifest
from slimvec.model.sentence_transformers_files import read_spec, write_modules
from slimvec.model.sources import resolve_source
from slimvec.model.spec import AttentionMode, Pooling
from slimvec.text.prompts import Prompts, Role
from slimvec.text.tokenizer import Tokenizer

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def load_model(
    source: str | Path,
    *,
    revision: str | None = None,
    dtype: torch.dtype | None = None,
    attention: AttentionMode | None = None,
    pooling: Pooling | None = None,
    prompts: Prompts | None = None,
    dims: int | None = None,
    max_tokens: int | None = None,
    progress: Callable[[str, float | None], None] | None = None,
) -> EmbeddingModel:
    """Load an embedding model, or a plain language model as one.

    Args:
        source: A folder, a `.gguf` file, a built-in name or a hub name.
        revision: Of a hub name.
        dtype: Of the weights in memory; default `default_dtype`.
        attention: Attention mode. Only a plain language model may be given another than its own.
        pooling: Pooling, when another than the model's.
        prompts: Prompts, when others than the model's.
        dims: Width of the vectors, when fewer than the model's.
        max_tokens: Longest text in tokens, when another than the model's.
        progress: Told what is fetched or converted.

    Raises:
        InputError: an unknown source, or dims larger than the model's.
        FetchError: something has to be fetched and cannot be.
        ModelError: the folder cannot be used, or does not attend as it says.
    """
    folder = resolve_source(source, revision=revision, progress=progress)
    manifest = read_manifest(folder)
    origin = Origin(source=str(source), revision=revision)
    if manifest is None:
        manifest = _foreign_manifest(folder, origin)
        if attention is not None and not (folder / "modules.json").is_file():
            manifest = manifest.model_copy(update={"spec": manifest.spec.replace(attention=attention)})
    if attention is not None and attention != manifest.spec.attention:
        raise ModelError(
            f"{source} was trained with {manifest.spec.attention} attention",
            expected=f"no other, {attention} was asked for",
            do="train it in that mode first",
        )
    changes = {"pooling": pooling, "prompts": prompts, "dims": dims, "max_tokens": max_tokens}
    spec = manifest.spec.replace(**{name: value for name, value in changes.items() if value is not None})
    backbone = _load_backbone(folder, manifest, spec.attention, dtype)
    tokenizer = Tokenizer.from_folder(folder, max_tokens=spec.max_tokens)
    check_attention_mode(backbone, spec.attention, vocabulary=int(backbone.config.vocab_size))
    model = EmbeddingModel(backbone, tokenizer, spec)
    model.origin = manifest.base if manifest.adapter else origin
    model.training_record = manifest.training
    model.tokenizer_folder = folder
    return model.eval()


def _foreign_manifest(folder: Path, origin: Origin) -> Manifest:
    """Describe a folder without `slimvec.json`; an adapter without one names its base in its own config."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} is an adapter without {MANIFEST_NAME}", expected="a merged model", do="merge it with PEFT first"
        )
    return Manifest(spec=read_spec(folder, read_config(folder)), base=origin)


def _load_backbone(
    folder: Path, manifest: Manifest, mode: AttentionMode, dtype: torch.dtype | None
) -> TransformersBackbone:
    weights = folder
    if manifest.adapter:
        if manifest.base is None:
            raise ModelError(f"{folder / MANIFEST_NAME} has an adapter and no base", expected="a base model's name")
        weights = resolve_source(manifest.base.source, revision=manifest.base.revision)
    elif (folder / MANIFEST_NAME).is_file() and read_attention_mode(read_config(folder)) != mode:
        raise ModelError(
            f"{folder}: its config declares {read_attention_mode(read_config(folder))} attention",
            expected=f"{mode}, as {MANIFEST_NAME} says",
            do="restore the file that was changed",
        )
    backbone = load_transformers(weights, mode=mode, dtype=dtype or default_dtype(weights))
    if manifest.adapter:
        load_lora(backbone, folder)
    return backbone


def default_dtype(folder: Path) -> torch.dtype:
    """Choose the dtype of the weights in memory.

    16-bit weights stay bfloat16 where the machine computes in it (CUDA, or a CPU with AVX512-BF16 or AMX) and become
    float32 where it would have to emulate it; float32 weights stay float32, so that nothing is rounded unasked.
    """
    stored = getattr(AutoConfig.from_pretrained(folder, local_files_only=True), "dtype", None)
    native = torch.cuda.is_available() or any(
        bool(torch.cpu.get_capabilities().get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16")
    )
    return torch.bfloat16 if native and stored in (torch.bfloat16, torch.float16) else torch.float32


def save_model(
    model: EmbeddingModel,
    folder: Path,
    *,
    merged: bool = True,
    training: dict[str, Any] | None = None,
    force: bool = False,
) -> None:
    """Write a model folder.

    Args:
        model: An adapter on it is folded into the weights of the copy that is written (`merged`), or written alone.
        folder: Must not exist, or `force`.
        merged: Whole weights, which every reader takes anywhere; else the adapter and the name of its base.
        training: Recipe and data of the training, for `slimvec.json`.
        force: Replace what is there.

    Raises:
        InputError: the folder exists.
        ModelError: an adapter alone is asked for, and there is none or its base has no name.
        StorageError: it cannot be written.
    """
    as_adapter = not merged
    if as_adapter and not (has_lora(model.backbone) and model.origin is not None):
        raise ModelError("no adapter on a base with a name", expected="one", do="save the model merged")
    if not as_adapter and has_lora(model.backbone):
        model = copy.deepcopy(model)
        merge_lora(model.backbone)
    manifest = Manifest(
        spec=model.spec,
        base=model.origin,
        adapter=as_adapter,
        training=training if training is not None else model.training_record,
        versions=package_versions(),
    )
    with atomic_folder(folder, force=force) as building:
        model.backbone.hf_model.save_pretrained(building)
        (building / "README.md").unlink(missing_ok=True)  # PEFT's empty card
        _write_tokenizer(model, building)
        _check_tokenizer(model, building)
        write_modules(building, model.spec, model.backbone.config)
        (building / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        write_golden(building, _embedder(model))


def _write_tokenizer(model: EmbeddingModel, folder: Path) -> None:
    """Copy the tokenizer's files as they came; write them anew for a model built in memory."""
    if model.tokenizer_folder is not None:
        for name in _TOKENIZER_FILES:
            if (model.tokenizer_folder / name).is_file():
                shutil.copyfile(model.tokenizer_folder / name, folder / name)
        return
    backend = model.tokenizer.backend
    padding = backend.id_to_token(int(model.backbone.config.pad_token_id or 0))
    PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=padding).save_pretrained(folder)


def _check_tokenizer(model: EmbeddingModel, folder: Path) -> None:
    """Make sure that transformers reads the tokenizer as it is meant.

    For some architectures (Qwen2 among them) it ignores the class that a folder names and builds its own, which on a
    tokenizer of another kind gives other ids without a word.

    Raises:
        ModelError: it reads other ids.
    """
    theirs = AutoTokenizer.from_pretrained(folder, config=model.backbone.config, local_files_only=True)
    limit = {"truncation": True, "max_length": model.tokenizer.max_tokens}
    for text, ids in zip(TEXTS, model.tokenizer.tokenize(TEXTS).sequences, strict=True):
        if theirs(text, **limit)["input_ids"] != ids:
            raise ModelError(
                f"transformers' {type(theirs).__name__} reads {text[:30]!r} as other tokens than tokenizer.json",
                expected="the same",
                do=f"architecture {model.backbone.config.model_type!r} needs a tokenizer of its own kind",
            )


def _embedder(model: EmbeddingModel) -> Callable[[Sequence[str], Role], NDArray[np.float32]]:
    """Embed a few texts by role, for golden vectors."""

    def embed(texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        tokenized = model.tokenizer.tokenize(texts, prompt=model.spec.prompts.render(role))
        with torch.inference_mode():
            vectors: NDArray[np.float32] = model(tokenized.pack()).cpu().numpy()
        return vectors

    return embed
