"""A model of sentence-transformers as something to evaluate, through that library's own public calls."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from slimvec.engine.bad_texts import refuse_not_finite
from slimvec.engine.embedder import Embedder
from slimvec.errors import InputError, ModelError
from slimvec.evaluation.models import ModelCard, Prompt, Usage
from slimvec.model.cache import Progress
from slimvec.model.identity import folder_sha256
from slimvec.model.sources import describe_source, resolve_source
from slimvec.text.embeddings import Embeddings, OnProgress, Vectors
from slimvec.text.prompts import ROLES, Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_TEXTS_AT_ONCE = 1024
_BATCH_SIZE = 32  # sentence-transformers' own default, and mteb's
TEXTS = ("How do I read a file line by line?", "Mars is the fourth planet from the Sun.", "Übergrößenträger, 3.14 🙂")


class SentenceTransformersModel:
    """A model that sentence-transformers loads.

    Prompts: those given; else those in the model's files or in mteb's register of models, chosen in mteb's order
    (task and role, task, type and role, type, role); else the model's default prompt.

    Args:
        model: The model, loaded.
        card: What is known of it.
        prompts: Prompts by mteb's keys.
    """

    def __init__(self, model: "SentenceTransformer", card: ModelCard, prompts: Mapping[str, str]) -> None:
        self._model = model
        self._card = card
        self._prompts = dict(prompts)

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: str = "auto",
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        revision: str | None = None,
        dims: int | None = None,
        max_tokens: int | None = None,
        progress: Progress | None = None,
        remark: str = "",
    ) -> Self:
        """Load a model.

        Args:
            source: A folder, a built-in name or a hub name.
            dtype: `auto` is the dtype of the files.
            query_prompt: Written in front of queries.
            document_prompt: Written in front of documents.
            revision: Revision of a hub name.
            dims: Width of the vectors, when fewer than the model's.
            max_tokens: Longest text in tokens.
            progress: Called with what is fetched.
            remark: What a reader of its scores should know.

        Raises:
            InputError: sentence-transformers is not installed, or there is no such model.
            FetchError: the model cannot be fetched.
            ModelError: sentence-transformers cannot load it.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            do = "pip install sentence-transformers"
            raise InputError(
                "sentence-transformers is not installed", expected="it, to load this model", do=do
            ) from error
        folder = resolve_source(source, revision=revision, progress=progress)
        try:
            model = SentenceTransformer(
                str(folder), truncate_dim=dims, model_kwargs={"dtype": dtype}, trust_remote_code=False
            )
        except Exception as error:  # the library lets through whatever its parts raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"sentence-transformers cannot load {source}: {reason}") from error
        if max_tokens is not None:
            model.max_seq_length = max_tokens
        model.eval()
        given = {"query": query_prompt, "document": document_prompt}
        prompts = {key: value for key, value in _known_prompts(source, model).items() if value}
        prompts |= {key: value for key, value in given.items() if value is not None}
        if any(value is not None for value in given.values()):
            prompts = {key: prompts.get(key, "") for key in given}
        settled = [folder_sha256(folder), model.truncate_dim, model.max_seq_length, str(model.dtype)]
        libraries = [version(name) for name in ("sentence-transformers", "transformers", "torch")]
        card = ModelCard(
            name=source,
            kind="sentence-transformers",
            identity=hashlib.sha256(repr([settled, libraries]).encode()).hexdigest(),
            revision=describe_source(folder).revision,
            dtype=str(model.dtype).removeprefix("torch."),
            dims=model.get_embedding_dimension(),
            max_tokens=model.max_seq_length,
            engine=f"sentence-transformers {version('sentence-transformers')}",
            prompts=prompts,
            remark=remark,
        )
        return cls(model, card, prompts)

    @property
    def card(self) -> ModelCard:
        """What is known of it."""
        return self._card

    def prompt(self, usage: Usage) -> Prompt:
        """Choose the prompt for a usage, in mteb's order."""
        keys = [f"{usage.task}-{usage.role}", usage.task, f"{usage.kind}-{usage.role}", usage.kind, str(usage.role)]
        key = next((key for key in keys if key in self._prompts), None)
        text = self.render(usage.role, key)
        return Prompt(text, usage.role, text)

    def render(self, role: Role | None, task: str | None = None) -> str:
        """Give what is written in front of texts: of a task, the prompt of that name, else the task as it stands."""
        if task is not None:
            return self._prompts.get(task, task)
        return self._prompts.get(str(role), self._prompts.get(self._model.default_prompt_name or "", ""))

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role | None = None,
        task: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Embeddings:
        """Embed texts; `task` is as for `render`."""
        prompt = self.render(role, task)
        calls = {"query": self._model.encode_query, "document": self._model.encode_document}
        encode = calls.get(role or "", self._model.encode)
        blocks = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            block = list(texts[start : start + _TEXTS_AT_ONCE])
            found = encode(block, prompt=prompt, batch_size=_BATCH_SIZE, show_progress_bar=False)
            blocks.append(np.asarray(found, dtype=np.float32))
            if on_progress is not None:
                on_progress(len(block))
        vectors = np.concatenate(blocks)
        refuse_not_finite(vectors, texts, self._card.name)
        return self._counted(vectors, [prompt + text for text in texts])

    def _counted(self, vectors: Vectors, texts: Sequence[str]) -> Embeddings:
        """Count tokens as the model's tokenizer makes them, where it is one that tells."""
        tokenizer, limit = self._model.tokenizer, self._model.max_seq_length
        if limit is None or not hasattr(tokenizer, "model_max_length"):
            return Embeddings.uncounted(vectors)
        found = tokenizer(list(texts), truncation=False, add_special_tokens=True, verbose=False)["input_ids"]
        lengths = np.asarray([len(ids) for ids in found], dtype=np.int32)
        return Embeddings(vectors, np.minimum(lengths, limit), (lengths > limit).astype(np.int8))


def _known_prompts(source: str, model: "SentenceTransformer") -> dict[str, str]:
    """Prompts of a model: of its files, or where these have none, of mteb's register."""
    prompts = {key: value for key, value in model.prompts.items() if value}
    if prompts:
        return prompts
    try:
        import mteb
    except ImportError:
        return {}
    try:
        meta = mteb.get_model_meta(source, fetch_from_hf=False)
    except KeyError:  # not in the register
        return {}
    found = meta.loader_kwargs.get("model_prompts") or {}
    return {str(key): str(value) for key, value in found.items()}


def cosine_beside(embedder: Embedder, folder: Path) -> tuple[float | None, str]:
    """Embed three texts in both roles with both.

    Args:
        embedder: The folder, loaded.
        folder: For sentence-transformers.

    Returns:
        The lowest cosine between the two, and an empty reason; or None and why there is none.
    """
    if find_spec("sentence_transformers") is None:
        return None, "sentence-transformers is not installed"
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
        theirs = {"query": model.encode_query(list(TEXTS)), "document": model.encode_document(list(TEXTS))}
    except Exception as error:  # whatever the folder makes it raise is its answer
        return None, f"sentence-transformers does not load it: {(str(error).splitlines() or [type(error).__name__])[0]}"
    lowest = 1.0
    for role in ROLES:
        ours = embedder.embed(TEXTS, role=role).vectors
        if ours.shape != theirs[role].shape:
            return None, f"sentence-transformers gives {theirs[role].shape[1]} dims, slimvec {ours.shape[1]}"
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs[role], axis=1)
        lowest = min(lowest, float(((ours * theirs[role]).sum(axis=1) / lengths).min()))
    return lowest, ""
