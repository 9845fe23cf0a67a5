"""Rotary positions as transformers 4 reads them: what its own conversion to 5 would make ours again."""

import json

import pytest
import transformers

from slimvec.engine.embedder import Embedder
from slimvec.model.older_config import older_keys
from tests.tiny import embedding_model

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
DEFAULT, LOCAL = {"rope_type": "default", "rope_theta": 70.0}, {"rope_type": "default", "rope_theta": 9.0}
LINEAR = {"rope_type": "linear", "rope_theta": 70.0, "factor": 8.0}


@pytest.mark.parametrize(
    ("model_type", "parameters", "expected"),
    [
        ("llama", DEFAULT, {"rope_theta": 70.0}),
        (
            "llama",
            LLAMA3,
            {"rope_theta": 500.0, "rope_scaling": {k: v for k, v in LLAMA3.items() if k != "rope_theta"}},
        ),
        (
            "gemma3_text",
            {"full_attention": LINEAR, "sliding_attention": LOCAL},
            {
                "rope_theta": 70.0,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "rope_local_base_freq": 9.0,
            },
        ),
        (
            "modernbert",
            {"full_attention": DEFAULT, "sliding_attention": LOCAL},
            {"global_rope_theta": 70.0, "local_rope_theta": 9.0},
        ),
        ("bert", None, {}),
    ],
)
def test_keys_of_transformers_4_say_the_same(model_type, parameters, expected):
    config = {"model_type": model_type, "rope_parameters": parameters}
    assert older_keys(config) == expected
    if parameters is None:
        return
    kind = type(transformers.AutoConfig.for_model(model_type))
    read = kind(**expected).rope_parameters  # a config as 4 wrote it, brought to 5's form by transformers itself
    both = kind(**expected, rope_parameters=parameters).rope_parameters
    assert both == read == kind(rope_parameters=parameters).rope_parameters


def test_a_saved_folder_has_both(tmp_path):
    embedder = Embedder.from_model(embedding_model("llama"))
    embedder.save(tmp_path / "m")
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    Embedder.load(tmp_path / "m").save(tmp_path / "again")
    assert (tmp_path / "again/config.json").read_bytes() == (tmp_path / "m/config.json").read_bytes()
