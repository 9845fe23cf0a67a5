"""Text written by a causal language model on this machine, one answer at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoTokenizer

from slimvec.errors import ModelError
from slimvec.model.architectures import longest_text
from slimvec.model.cache import Progress
from slimvec.model.causal_lm import CausalLM
from slimvec.model.identity import weights_sha256
from slimvec.model.opening import open_model
from slimvec.model.sampling import TOP_K, read_writing


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
        revision: Revision of a hub name.
        max_new_tokens: Longest answer. 1,024 are enough for three texts of 200 words.
        progress: Called with what is fetched or converted.

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
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = CausalLM.load(opened, device=device)
        self._writing = read_writing(opened.weights)
        self._room = longest_text(opened.config)
        self._tokenizer: Any = _load_tokenizer(opened.folder)
        self._max_new_tokens = max_new_tokens
        self.model = source
        self.settings: Mapping[str, str | int] = {
            "weights": weights_sha256(opened.weights, progress=progress),
            "max_new_tokens": max_new_tokens,
            "top_k": TOP_K,
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
            seed: Random seed for the choice of tokens; the global random state is left as it was.
            temperature: Temperature of the choice; 0 takes the likeliest token each time.

        Raises:
            ModelError: the messages leave no room for an answer.
        """
        ids = self._tokenizer(self._prompt(messages), add_special_tokens=not self._tokenizer.chat_template)["input_ids"]
        room = min(self._max_new_tokens, self._room - len(ids))
        if room < 1:
            raise ModelError(f"messages of {len(ids)} tokens", expected=f"fewer than the model's {self._room}")
        writing = self._writing
        new = self._model.generate(
            ids, max_new_tokens=room, ends=writing.ends, sampling=writing.at(temperature), seed=seed
        )
        return Generated(self._tokenizer.decode(new, skip_special_tokens=True), len(ids), len(new))

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


def _load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer with its chat template; code that comes with it is never run.

    Raises:
        ModelError: it cannot be read without.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"tokenizer of {folder} cannot be loaded: {error}") from error
