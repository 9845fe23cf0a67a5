"""A decoder's first layers alone, as a model of its own: the final norm and the pooling are put on the Nth layer.

The upper layers of a language model turn meaning into the next token; for a vector of the text they can be left out
before training, at little loss and a fraction of the cost (L3Prune, arXiv 2410.14578; arXiv 2502.02013 finds the best
vectors in the middle). `num_layers` of a model's spec says how many run. An adapter's folder keeps the number, for its
base has all of them; merged weights have no others, and their config says it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from slimvec.errors import InputError
from slimvec.model.architectures import Config, is_decoder

_LAYER = re.compile(r"(?:.*\.)?layers\.(\d+)\..*")


def shallow_config(config: Config, num_layers: int | None) -> Config:
    """Give the config of a decoder's first layers.

    Args:
        config: Content of `config.json`.
        num_layers: How many; None gives the config as it is.

    Raises:
        InputError: an encoder, or more layers than it has.
    """
    if num_layers is None:
        return config
    if not is_decoder(config):
        raise InputError(
            f"num_layers {num_layers} for architecture {config['model_type']!r}",
            expected="a decoder, whose upper layers may be left out",
            do="leave num_layers out",
        )
    whole = int(config["num_hidden_layers"])
    if num_layers > whole:
        raise InputError(f"num_layers {num_layers} of a model with {whole} layers", expected=f"at most {whole}")
    kinds = config.get("layer_types")
    return {**config, "num_hidden_layers": num_layers, **({"layer_types": list(kinds[:num_layers])} if kinds else {})}


def depth_settings(config: Config) -> Mapping[str, Any]:
    """Give what `shallow_config` changed, for transformers' config object."""
    return {key: config[key] for key in ("num_hidden_layers", "layer_types") if key in config}


def layer_of(name: str) -> int | None:
    """Give the number of the layer that a tensor belongs to by its name; None for what belongs to none."""
    found = _LAYER.fullmatch(name)
    return None if found is None else int(found[1])


def names_below(names: Iterable[str], num_layers: int) -> list[str]:
    """Choose the names of tensors that a model of so many layers has a place for."""
    return [name for name in names if (layer := layer_of(name)) is None or layer < num_layers]
