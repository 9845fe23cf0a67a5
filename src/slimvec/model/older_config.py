"""Rotary positions in a saved config as transformers 4 reads them, beside what 5 writes.

5 keeps all of them in `rope_parameters`, by kind of layer for Gemma 3 and ModernBERT. 4 does not know that key and
takes its own defaults without a word (SmolLM2 at a base of 10,000 instead of 100,000: other vectors, the more so the
longer the text). Readers of our folders that are built on 4 are many; 5 reads both and finds the same.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KINDS = ("full_attention", "sliding_attention")
_BESIDE = ("rope_theta", "partial_rotary_factor")
"""Parameters that 4 has at the top and not within `rope_scaling`."""


def add_older_keys(path: Path) -> None:
    """Write the keys into a config, where it has `rope_parameters`; keys that are there stay.

    Args:
        path: The `config.json`.
    """
    config = json.loads(path.read_bytes())
    found = {**older_keys(config), **config}
    if found != config:
        path.write_text(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def older_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give the keys of transformers 4 for the rotary positions of a config; none where it has no `rope_parameters`."""
    parameters = config.get("rope_parameters") or {}
    if not all(isinstance(parameters.get(kind), dict) for kind in _KINDS):
        return _flat(parameters)
    whole, local = (parameters[kind] for kind in _KINDS)
    if config.get("model_type") == "modernbert":
        return {"global_rope_theta": whole["rope_theta"], "local_rope_theta": local["rope_theta"]}
    return {**_flat(whole), "rope_local_base_freq": local["rope_theta"]}


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Lay out the parameters of one kind of layer."""
    found = {key: parameters[key] for key in _BESIDE if key in parameters}
    if parameters.get("rope_type", "default") != "default":
        found["rope_scaling"] = {key: value for key, value in parameters.items() if key not in _BESIDE}
    return found
