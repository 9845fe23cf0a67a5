"""Settings of a model folder that slimvec did not write: what decides each, read from the files that others read too.

The rules are sentence-transformers': of several files that speak of one setting, the one counts that counts there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from slimvec.errors import InputError, ModelError
from slimvec.model.architectures import Config, is_decoder, longest_text, read_attention_mode
from slimvec.model.json_files import read_json, read_object
from slimvec.model.modules import MODULES_NAME, Modules
from slimvec.model.settings_table import (
    CONFIG,
    DENSE,
    MODULES,
    POOLING,
    ROUTER,
    SENTENCE_BERT,
    SENTENCE_TRANSFORMERS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    SettingsFile,
)
from slimvec.model.spec import ModelSpec, Similarity, UnitLayer
from slimvec.numbers import finite_number
from slimvec.text.prompts import Prompts

PLAIN_MAX_TOKENS = 512
_SENTENCE_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_HARMLESS_ARGUMENTS = ("trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "revision", "device_map")
_NO_LIMIT = 1 << 30
"""Larger limits stand for none: transformers writes 1e30."""


@dataclass(frozen=True)
class Decision:
    """What decides a setting.

    Attributes:
        setting: Its name in `ModelSpec`.
        value: What it is.
        file: Path of the file that says so; empty for slimvec's own default.
        key: Where in the file.
    """

    setting: str
    value: Any
    file: str = ""
    key: str = ""


@dataclass
class ForeignSettings:
    """Settings of a folder, as they are being read.

    Attributes:
        values: By name in `ModelSpec`.
        decisions: What decided them.
        notices: Lines about what may make vectors differ from what their maker meant.
    """

    values: dict[str, Any] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def decide(self, setting: str, value: Any, path: Path | None = None, key: str = "") -> None:
        """Settle a setting, by a key of a file or by default."""
        self.values[setting] = value
        self.decisions.append(Decision(setting, value, "" if path is None else str(path), key))

    def spec(self) -> ModelSpec:
        """Build the settings.

        Raises:
            ModelError: a value does not fit.
        """
        try:
            return ModelSpec().replace(**self.values)
        except InputError as error:
            raise ModelError(error.found, expected="settings that fit", do="correct the model's files") from error


def read_foreign(folder: Path, modules: Modules | None, config: Config) -> ForeignSettings:
    """Work out the settings of a folder that slimvec did not write.

    Without `modules.json` it is a plain language model: mean pooling, unit vectors, no prompts, 512 tokens at most.

    Args:
        folder: The folder.
        modules: What its `modules.json` comes to; None if it has none.
        config: Its `config.json`.

    Raises:
        ModelError: a file that cannot be read, or a setting that is not served.
    """
    found = ForeignSettings()
    home = folder if modules is None else modules.transformer
    _check(found, CONFIG, home / "config.json", config)
    sentence = next((home / name for name in _SENTENCE_FILES if (home / name).is_file()), home / _SENTENCE_FILES[0])
    module = _essential(read_object(sentence, missing=True), sentence)
    _check(found, SENTENCE_BERT, sentence, module)
    tokenizer = read_object(home / "tokenizer_config.json", missing=True)
    _check(found, TOKENIZER_CONFIG, home / "tokenizer_config.json", tokenizer)
    _read_attention(found, home, config, sentence, module)
    _read_length(found, home, config, sentence, module, tokenizer, plain=modules is None)
    if module.get("do_lower_case"):
        found.decide("lower_case", True, sentence, "do_lower_case")
    _read_tokenizer(found, home, tokenizer)
    if modules is None:
        found.decide("pooling", ModelSpec().pooling)
        found.decide("normalize", True)
        return found
    _read_modules(found, folder, modules)
    _read_whole(found, folder / "config_sentence_transformers.json", modules, int(config["hidden_size"]))
    return found


def _check(found: ForeignSettings, table: SettingsFile, path: Path, content: Mapping[str, Any]) -> None:
    """Hold a file against its table."""
    found.notices += table.check(path, content)


def _essential(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Leave out what the module's file passes to libraries without an effect on vectors.

    Raises:
        ModelError: what it passes is no object.
    """
    found = dict(content)
    for name in ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs"):
        if not isinstance(found.get(name) or {}, dict):
            raise ModelError(f"{path} has {name} {found[name]!r}", expected="an object")
        if found.get(name):
            found[name] = {key: value for key, value in found[name].items() if key not in _HARMLESS_ARGUMENTS}
    return found


def _read_attention(
    found: ForeignSettings, home: Path, config: Config, sentence: Path, module: Mapping[str, Any]
) -> None:
    """Read the attention mode; the module's file may change the config's."""
    changes: dict[str, Any] = {}
    for name in ("config_args", "config_kwargs"):
        for key, value in (module.get(name) or {}).items():
            if key in ("is_decoder", "is_causal") and not isinstance(value, bool):
                raise ModelError(f"{sentence} has {name} with {key} {value!r}", expected="true or false")
            if key == "is_decoder" or (key == "is_causal" and key in config):
                changes[key] = value
            elif key == "is_causal":
                found.notices.append(
                    f"{sentence} has {name} with is_causal, which counts only if config.json has it too"
                )
            elif config.get(key) != value:
                raise ModelError(
                    f"{sentence} has {name} with {key} {value!r}",
                    expected=f"{config.get(key)!r}, as config.json says",
                    do="write it into config.json",
                )
    mode = read_attention_mode({**config, **changes})
    keys = ("is_causal", "use_bidirectional_attention") if is_decoder(config) else ("is_decoder",)
    named = [key for key in keys if key in config]
    path, key = (sentence, "config_args") if changes else (home / "config.json", ", ".join(named) or "model_type")
    found.decide("attention", mode, path, key)
    if config.get("auto_map"):
        found.notices.append(
            f"{home / 'config.json'} has auto_map: code of its own, which slimvec does not run; "
            f"attention is taken to be {mode}, as {key} says"
        )


def _read_length(
    found: ForeignSettings,
    home: Path,
    config: Config,
    sentence: Path,
    module: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    *,
    plain: bool,
) -> None:
    """Read the longest text: what the module's file says, else the tokenizer's, else the positions there are."""
    positions = longest_text(config)
    by_module = _limit(sentence, "max_seq_length", module)
    by_tokenizer = _limit(home / "tokenizer_config.json", "model_max_length", tokenizer)
    candidates = [(positions, home / "config.json", "max_position_embeddings")]
    if by_module is not None:
        # Rotary positions go on for ever, and sentence-transformers lets them; a table of positions ends.
        candidates = [] if is_decoder(config) else candidates
        candidates.append((by_module, sentence, "max_seq_length"))
    elif by_tokenizer is not None:
        candidates.append((by_tokenizer, home / "tokenizer_config.json", "model_max_length"))
    limit, path, key = min(candidates, key=lambda one: one[0])
    if plain and by_module is None and limit > PLAIN_MAX_TOKENS:
        found.decide("max_tokens", PLAIN_MAX_TOKENS)
    else:
        found.decide("max_tokens", limit, path, key)


def _limit(path: Path, key: str, content: Mapping[str, Any]) -> int | None:
    """Read a limit of length; None where there is none.

    Raises:
        ModelError: it is not a number of tokens.
    """
    value = content.get(key)
    if value is None or (isinstance(value, int | float) and value >= _NO_LIMIT):
        return None
    number = finite_number(value)
    if number is None or number % 1 or number < 1:
        raise ModelError(f"{path} has {key} {value!r}", expected="a number of tokens")
    return int(number)


def _read_tokenizer(found: ForeignSettings, home: Path, tokenizer: Mapping[str, Any]) -> None:
    """Note where the tokenizer's wrapper asks for what tokenizer.json does not do."""
    path = home / "tokenizer_config.json"
    if tokenizer.get("auto_map"):
        found.notices.append(f"{path} has auto_map: code of its own, which slimvec does not run; tokenizer.json counts")
    if not (home / "tokenizer.json").is_file():
        return
    content = read_json(home / "tokenizer.json")
    if not isinstance(content, dict):
        return  # the tokenizers library says what is wrong with it
    _check(found, TOKENIZER, home / "tokenizer.json", _by_component(content))
    for kind in ("bos", "eos"):
        token = tokenizer.get(f"{kind}_token")
        name = token.get("content") if isinstance(token, dict) else token
        if tokenizer.get(f"add_{kind}_token") and name and not _adds(content, str(name)):
            found.notices.append(
                f"{path} has add_{kind}_token, and tokenizer.json does not add {name!r}; texts go without it, as in "
                "transformers 5"
            )


def _by_component(content: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a tokenizer says of its model and its added tokens beside what it says as a whole."""
    model, added = content.get("model"), content.get("added_tokens")
    named = [("model", model), *(("added_tokens", token) for token in (added if isinstance(added, list) else []))]
    within = {f"{name}.{key}": value for name, one in named if isinstance(one, dict) for key, value in one.items()}
    return {**content, **within}


def _adds(content: Mapping[str, Any], token: str) -> bool:
    """Whether a tokenizer puts a token around texts."""
    return json.dumps(token) in json.dumps(content.get("post_processor"))


def _read_modules(found: ForeignSettings, folder: Path, modules: Modules) -> None:
    """Take the pooling and what is behind it."""
    entries = read_json(folder / MODULES_NAME)
    for entry in entries:
        _check(found, MODULES, folder / MODULES_NAME, entry)
    for router in modules.routers:
        _check(found, ROUTER, router.path, router.content)
    for module in modules.all[1:]:
        path = module.folder / "config.json"
        _check(found, POOLING if module.kind == "Pooling" else DENSE, path, read_object(path, missing=True))
    found.decide("pooling", modules.pooling, modules.all[1].folder / "config.json", "pooling_mode")
    if modules.head:
        found.decide("head", modules.head, folder / MODULES_NAME, "type")
    found.decide("normalize", modules.normalize, folder / MODULES_NAME, "type")


def _read_whole(found: ForeignSettings, path: Path, modules: Modules, width: int) -> None:
    """Read `config_sentence_transformers.json`: prompts, similarity, width."""
    content = read_object(path, missing=True)
    _check(found, SENTENCE_TRANSFORMERS, path, content)
    similarity = content.get("similarity_fn_name") or "cosine"
    if similarity not in get_args(Similarity):
        raise ModelError(
            f"{path} has similarity_fn_name {similarity!r}", expected=f"one of {', '.join(get_args(Similarity))}"
        )
    if content.get("similarity_fn_name"):
        found.decide("similarity", similarity, path, "similarity_fn_name")
    else:
        found.decide("similarity", similarity)
    dims = _limit(path, "truncate_dim", content)
    if dims is not None:
        found.decide("dims", min(dims, ModelSpec(head=modules.head).full_width(width)), path, "truncate_dim")
        if modules.normalize and similarity != "cosine":
            # There the cut comes last; with a cosine that makes no difference, and unit vectors are easier to use.
            found.values |= {"normalize": False, "head": (*modules.head, UnitLayer())}
    prompts = content.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ModelError(f"{path} has prompts {prompts!r}", expected="texts by name")
    texts = {name: text for name, text in prompts.items() if text is not None}
    query, document = texts.pop("query", ""), texts.pop("document", "")
    said = (path, "prompts") if prompts else ()
    found.decide("prompts", Prompts(query=query, document=document, named=texts, literal=True), *said)
