"""Model folders: written so that sentence-transformers, TEI and vLLM read them, loaded with the attention guard.

A folder holds the transformers files or a PEFT adapter, the sentence-transformers modules, `slimvec.json` and
`golden.json`. It becomes visible only when it is complete.
"""

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from slimvec.errors import ModelError
from slimvec.files import atomic_folder
from slimvec.model.adapters import has_lora, load_lora, merge_lora
from slimvec.model.backbone import load_transformers
from slimvec.model.builtin import TOKENIZER_FILES
from slimvec.model.copy_check import check_copy
from slimvec.model.depth import depth_settings
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.golden import TEXTS, EmbedRole, write_golden
from slimvec.model.guard import check_attention_mode
from slimvec.model.lm_head import LMHead, save_lm_head
from slimvec.model.manifest import MANIFEST_NAME, Manifest, package_versions
from slimvec.model.older_config import add_older_keys
from slimvec.model.opening import OpenedModel, OpenSettings, open_model
from slimvec.model.rope_scaling import scaled_settings
from slimvec.model.sentence_transformers_files import write_modules
from slimvec.model.sources import portable_name
from slimvec.text.prompts import Role

_CLASS = "PreTrainedTokenizerFast"
"""What transformers calls its class for any `tokenizer.json`; 5 writes a new name for it, which 4 does not know."""


def load_model(
    source: str | Path, *, dtype: torch.dtype | None = None, **settings: Unpack[OpenSettings]
) -> EmbeddingModel:
    """Load a model as a module that can be trained: `open_model`, then `load_opened`, with their errors.

    Args:
        source: A folder, a `.gguf` file, a built-in name or a hub name.
        dtype: Data type of the weights in memory; default the model's own choice.
        settings: As for `open_model`.
    """
    opened = open_model(source, **settings)
    opened.check_one_route()
    return load_opened(opened, dtype=dtype)


def load_opened(
    opened: OpenedModel, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> EmbeddingModel:
    """Load the weights of an opened model through transformers; guard its attention mode, and its golden vectors.

    Of a model with a route for queries, those for documents.

    Args:
        opened: The model.
        dtype: Data type of the weights in memory; default its own choice.
        device: Where to; default the CPU.

    Raises:
        ModelError: the weights cannot be loaded, do not attend as the files say, or give other vectors than when they
            were saved.
    """
    mode = opened.spec.attention
    backbone = load_transformers(
        opened.weights,
        mode=mode,
        dtype=dtype or opened.default_dtype(device),
        changes={
            **({} if opened.rope is None else scaled_settings(opened.config)),
            **({} if opened.spec.num_layers is None else depth_settings(opened.config)),
        },
        recency=opened.spec.recency,
    )
    if opened.is_adapter:
        load_lora(backbone, opened.folder, trained=bool(opened.training))
    if device is not None:
        backbone = backbone.to(device)
    try:
        check_attention_mode(backbone, mode, vocabulary=opened.vocabulary)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ModelError(
            f"transformers loads {opened.weights} and cannot run it on a short text: {error}",
            expected="settings in config.json that belong together",
        ) from error
    check_copy(opened, backbone, engine=f"transformers {backbone.device.type}", dtype=backbone.hf_model.dtype)
    model = EmbeddingModel(backbone, opened.tokenizer(), opened.spec, opened.head())
    model.origin, model.training_record = opened.origin, opened.training
    model.tokenizer_folder = opened.tokenizer_folder
    model.rope = opened.rope
    return model.eval()


def save_model(
    model: EmbeddingModel,
    folder: Path,
    *,
    merged: bool = True,
    training: dict[str, Any] | None = None,
    golden: Sequence[str] = TEXTS,
    language_head: LMHead | None = None,
    force: bool = False,
) -> None:
    """Write a model folder.

    Args:
        model: An adapter on it is folded into the weights of the copy that is written (`merged`), or written alone.
        folder: Must not exist, or `force`.
        merged: Whole weights, which every reader takes anywhere; else the adapter and the name of its base.
        training: Recipe and data of the training, for `slimvec.json`.
        golden: Texts whose vectors are kept.
        language_head: The head with which the model, as it is saved, predicts the next token, to be kept with it;
            default its base is its language model.
        force: Replace what is there.

    Raises:
        InputError: the folder exists.
        ModelError: an adapter alone is asked for, and there is none or its base has no name; or the model was loaded
            with something that the files would not say.
        StorageError: it cannot be written.
    """
    as_adapter = not merged
    if as_adapter and not (has_lora(model.backbone) and model.origin is not None):
        raise ModelError("no adapter on a base with a name", expected="one", do="save the model merged")
    check_kept(model, as_adapter=as_adapter)
    tied = language_head is not None and language_head.is_tied(model.backbone)
    if not as_adapter and has_lora(model.backbone):
        model = copy.deepcopy(model)
        merge_lora(model.backbone)
    origin = model.origin
    if as_adapter and origin is not None:  # it is looked for again, from wherever the adapter is loaded
        origin = origin.model_copy(update={"source": portable_name(origin.source)})
    manifest = Manifest(
        spec=model.spec if as_adapter else model.spec.replace(num_layers=None),  # merged weights have no others
        base=origin,
        adapter=as_adapter,
        language_model="base" if language_head is None else "own",
        training=training if training is not None else model.training_record,
        versions=package_versions(),
    )
    with atomic_folder(folder, force=force) as building:
        write_transformer(model, building)
        write_modules(building, model.spec, model.head, model.backbone.config.to_dict())
        if language_head is not None and not tied:
            save_lm_head(language_head, building)
        (building / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
        dtype = str(next(model.backbone.parameters()).dtype).removeprefix("torch.")
        write_golden(building, embedder_by_role(model), dtype=dtype, texts=golden)


def write_transformer(model: EmbeddingModel, folder: Path) -> None:
    """Write the transformers files of a model: config, weights or adapter, and the tokenizer.

    Raises:
        ModelError: transformers would read the tokenizer in another way.
    """
    hf_model = model.backbone.hf_model
    # PEFT would write the base's embeddings too where an adapter is on them.
    hf_model.save_pretrained(folder, **({"save_embedding_layers": False} if has_lora(model.backbone) else {}))
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card
    if (folder / "config.json").is_file():
        add_older_keys(folder / "config.json")
    _write_tokenizer(model, folder)
    _check_tokenizer(model, folder)


def check_kept(model: EmbeddingModel, *, as_adapter: bool = False) -> None:
    """See that the files will give the vectors that the model gives.

    Raises:
        ModelError: they would not.
    """
    if model.spec.recency:
        raise ModelError(
            f"the model was loaded with recency {model.spec.recency:g}, which no other reader of its files knows",
            expected="a model without",
            do="save it without, and give recency wherever it is loaded",
        )
    if model.spec.echo:
        raise ModelError(
            "the model was loaded with echo, which no other reader of its files knows",
            expected="a model without",
            do="save it without, and give echo wherever it is loaded",
        )
    if as_adapter and model.rope is not None:
        raise ModelError(
            f"an adapter alone does not say that its base is to be loaded with rope scaling {model.rope}",
            expected="merged=True",
            do="save the model merged",
        )


def _write_tokenizer(model: EmbeddingModel, folder: Path) -> None:
    """Copy the tokenizer's files as they came; write them anew for a model built in memory."""
    if model.tokenizer_folder is not None:
        for name in TOKENIZER_FILES:
            if (model.tokenizer_folder / name).is_file():
                shutil.copyfile(model.tokenizer_folder / name, folder / name)
    else:
        backend = model.tokenizer.backend
        padding = backend.id_to_token(int(model.backbone.config.pad_token_id or 0))
        PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=padding).save_pretrained(folder)
    _settle_class(folder / "tokenizer_config.json")


def _settle_class(path: Path) -> None:
    """Name a class that every reader has where a tokenizer's settings name code, or a class of transformers 5 alone.

    Code is not run, and does not travel with the model. What remains is read by transformers' class for any
    `tokenizer.json`; that it gives the same ids is checked.
    """
    settings = json.loads(path.read_bytes()) if path.is_file() else {}
    has_code = settings.pop("auto_map", None) is not None
    if has_code or settings.get("tokenizer_class") == PreTrainedTokenizerFast.__name__:
        settings["tokenizer_class"] = _CLASS
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")


def _check_tokenizer(model: EmbeddingModel, folder: Path) -> None:
    """Make sure that transformers reads the tokenizer as it is meant.

    For some architectures (Qwen2 among them) it ignores the class that a folder names and builds its own, which on a
    tokenizer of another kind gives other ids without a word.

    Raises:
        ModelError: it reads other ids.
    """
    try:
        theirs = AutoTokenizer.from_pretrained(
            folder, config=model.backbone.config, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"transformers cannot read the model's tokenizer: {error}", expected="one that needs no code of its own"
        ) from error
    limit = {"truncation": True, "max_length": model.tokenizer.max_tokens}
    for text, ids in zip(TEXTS, model.tokenizer.tokenize(TEXTS).sequences, strict=True):
        read = normalizers.Lowercase().normalize_str(text) if model.spec.lower_case else text
        if theirs(read, **limit)["input_ids"] != ids:
            raise ModelError(
                f"transformers' {type(theirs).__name__} reads {text[:30]!r} as other tokens than tokenizer.json",
                expected="the same",
                do=f"architecture {model.backbone.config.model_type!r} needs a tokenizer of its own kind",
            )


def embedder_by_role(model: EmbeddingModel) -> EmbedRole:
    """Embed a few texts by role, for golden vectors: without dropout, in the middle of a training too."""

    def embed(texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        tokenized = model.tokenizer.tokenize(texts, prompt=model.spec.prompts.render(role))
        was_training = model.training
        model.train(False)
        with torch.inference_mode():
            vectors: NDArray[np.float32] = model(tokenized.pack()).cpu().numpy()
        model.train(was_training)
        return vectors

    return embed
