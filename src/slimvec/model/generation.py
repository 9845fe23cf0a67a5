"""Text written by a causal language model on this machine, one answer at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from slimvec.errors import ModelError
from slimvec.model.cache import Progress
from slimvec.model.identity import weights_sha256
from slimvec.model.opening import OpenedModel, open_model
from slimvec.model.weight_files import WeightFiles, refuse_unaccounted

_TOP_K = 50
"""The choice is among so many tokens: a small model's long tail is noise."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a model wrote.

    Attributes:
        text: The answer, without special tokens.
        tokens_in: Tokens of the request, the chat template's included.
        tokens_out: Tokens of the answer, its end included.
    """

    text: str
    tokens_in: int
    tokens_out: int


class LocalGenerator:
    """A causal language model and its tokenizer.

    Args:
        source: A folder, a `.gguf` file, a built-in name or a hub name.
        revision: Of a hub name.
        max_new_tokens: Longest answer. 1,024 are enough for three texts of 200 words.
        progress: Told what is fetched or converted.

    Attributes:
        model: The source as it was given.
        settings: What else answers depend on: the hash of the weights, and how tokens are chosen.

    Raises:
        InputError: an unknown source.
        FetchError: it has to be fetched and cannot be.
        ModelError: it is no causal language model with a head.
    """

    def __init__(
        self,
        source: str,
        *,
        revision: str | None = None,
        max_new_tokens: int = 1024,
        progress: Progress | None = None,
    ) -> None:
        opened = open_model(source, revision=revision, progress=progress)
        _check_causal(source, opened)
        self._model = _load(opened)
        self._tokenizer: Any = _load_tokenizer(opened.folder)
        self._max_new_tokens = max_new_tokens
        self.model = source
        self.settings: Mapping[str, str | int] = {
            "weights": weights_sha256(opened.weights, progress=progress),
            "max_new_tokens": max_new_tokens,
            "top_k": _TOP_K,
        }

    async def generate(self, messages: Sequence[Mapping[str, str]], *, seed: int, temperature: float) -> Generated:
        """Answer as `answer` does. Nothing else runs meanwhile, but what waits has its turn before."""
        await asyncio.sleep(0)
        return self.answer(messages, seed=seed, temperature=temperature)

    def answer(self, messages: Sequence[Mapping[str, str]], *, seed: int, temperature: float = 1.0) -> Generated:
        """Answer messages: the same for the same seed, on one machine.

        Args:
            messages: `role` and `content` of each. They take the form of the tokenizer's chat template; without one
                they stand one below the other.
            seed: Of the choice of tokens; the global random state is left as it was.
            temperature: Of the choice; 0 takes the likeliest token each time.

        Raises:
            ModelError: the messages leave no room for an answer.
        """
        inputs = self._tokenizer(self._prompt(messages), add_special_tokens=not self._tokenizer.chat_template)
        ids = torch.tensor([inputs["input_ids"]], device=self._model.device)
        limit = int(self._model.config.max_position_embeddings)
        room = min(self._max_new_tokens, limit - ids.shape[1])
        if room < 1:
            raise ModelError(f"messages of {ids.shape[1]} tokens", expected=f"fewer than the model's {limit}")
        chosen = {"do_sample": True, "temperature": temperature, "top_k": _TOP_K} if temperature else {}
        devices = [self._model.device] if self._model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(seed)
            written = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=room,
                pad_token_id=self._tokenizer.pad_token_id or 0,
                **{"do_sample": False, **chosen},
            )
        new = written[0, ids.shape[1] :]
        return Generated(self._tokenizer.decode(new, skip_special_tokens=True), ids.shape[1], len(new))

    def _prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write messages as the model expects them."""
        if not self._tokenizer.chat_template:
            return "".join(f"{message['content']}\n\n" for message in messages)
        form = {"tokenize": False, "add_generation_prompt": True}
        try:
            return str(self._tokenizer.apply_chat_template(list(messages), **form))
        except TemplateError:  # some templates know no system role
            whole = "\n\n".join(message["content"] for message in messages)
            return str(self._tokenizer.apply_chat_template([{"role": "user", "content": whole}], **form))


def _check_causal(source: str, opened: OpenedModel) -> None:
    """Refuse what cannot write.

    Raises:
        ModelError: an adapter, or a model without causal attention.
    """
    if opened.is_adapter:
        raise ModelError(f"{source} is an adapter", expected="a causal language model", do="name its base")
    if opened.spec.attention != "causal":
        raise ModelError(f"{source} has {opened.spec.attention} attention", expected="a causal language model")


def _load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer with its chat template; code that comes with it is never run.

    Raises:
        ModelError: it cannot be read without.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"tokenizer of {folder} cannot be loaded: {error}") from error


def _load(opened: OpenedModel) -> PreTrainedModel:
    """Load a model with its head.

    Raises:
        ModelError: the weights cannot be read, or have no head.
    """
    WeightFiles(opened.weights).check_finite()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            opened.weights,
            dtype=opened.default_dtype(),
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"weights of {opened.weights} cannot be loaded: {error}") from error
    if report["missing_keys"]:
        raise ModelError(
            f"{opened.weights} has no {min(report['missing_keys'])}", expected="a language model with its head"
        )
    refuse_unaccounted(opened.weights, missing=(), left=report["unexpected_keys"], misfits=())
    loaded: PreTrainedModel = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return loaded
