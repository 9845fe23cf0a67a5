"""Frozen layers run by something else, and their states kept on disk: the same losses to rounding."""

import json

import pytest
import torch

from slimvec.engine import int8_texts
from slimvec.engine.fast_training import fast_training
from slimvec.engine.frozen import open_frozen
from slimvec.engine.kernels.library import load_kernels
from slimvec.errors import InputError
from slimvec.model.adapters import add_lora
from slimvec.model.cache import cache_root
from slimvec.model.folder import save_model
from slimvec.model.frozen_layers import own_states
from slimvec.model.spec import LoraSettings
from slimvec.model.state_cache import StateCache, kept_states
from slimvec.text.batch import PackedBatch
from slimvec.training.recipe.reading import parse_recipe
from slimvec.training.run.training_run import train
from tests import tiny
from tests.training import support

REFUSED = "frozen layers in the model's own dtype, not in int8"
KEYS = [bytes([number]) * 16 for number in range(9)]


@pytest.fixture
def run(tmp_path):
    """Train a tiny model whose last layer alone has an adapter, and give the losses."""
    rows = ({"query": r.query, "positives": r.positives, "negatives": r.negatives} for r in support.records())
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def train_it(*overrides, architecture="llama", mode="causal", **means):
        base = tmp_path / f"{architecture}-{mode}"
        if not base.exists():
            save_model(tiny.embedding_model(architecture, mode), base)
        settings = parse_recipe(
            support.RECIPE,
            overrides=[
                f"base.source={base}", f"data.0.path={tmp_path / 'pairs.jsonl'}", "tuning.first_layer=2", *overrides
            ],
        )  # fmt: skip
        losses = []
        output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        train(settings, output, on_step=[lambda event: losses.append(event.loss)], **means)
        return losses

    return train_it


@pytest.mark.parametrize(
    ("architecture", "mode"), [("llama", "causal"), ("qwen3", "bidirectional"), ("gemma3_text", "bidirectional")]
)
def test_losses_are_the_same_to_rounding(run, architecture, mode):
    settings = ("run={steps: 5, seed: 3, dtype: fp32}", "optim.lr=0.003")  # an epoch is four
    made = {"architecture": architecture, "mode": mode}
    expected = run(*settings, **made)
    for case in [
        run(*settings, "run.cache_states=0.1", **made, open_frozen=open_frozen),
        run(*settings, "run.cache_states=0.1", **made),
        run(*settings, "batch.graph_tokens=0", "batch.micro_batch_tokens=200", **made, open_frozen=open_frozen),
        run(*settings, **made, open_frozen=open_frozen, fast_training=fast_training),
        run(*settings, "batch.gradient_checkpointing=true", **made, fast_training=fast_training),
    ]:
        assert case == pytest.approx(expected, rel=2e-4)


def test_a_text_is_computed_once_over_epochs_seeds_and_variants(run):
    computed = []

    def counting(backbone, number, **given):
        states = open_frozen(backbone, number, **given)

        def count(batch):
            computed.extend(batch.lengths)
            return states(batch)

        return count

    run("run={epochs: 2, cache_states: 0.1, dtype: fp32}", open_frozen=counting)
    once = len(computed)
    assert once <= 24 * 3
    run("run={epochs: 1, seed: 9, cache_states: 0.1, dtype: fp32}", "tuning.rank=2", open_frozen=counting)
    assert len(computed) == once
    run("run={epochs: 1, cache_states: 0.1, dtype: fp32}", "tuning.first_layer=1", open_frozen=counting)
    assert len(computed) == 2 * once
    assert len(list((cache_root() / "states").iterdir())) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tuning.first_layer=0"], "cache_states without frozen layers; set tuning.first_layer above 0"),
        (["run.attention_ramp=1", "model.attention=bidirectional"], "cache_states with attention_ramp"),
        (["tuning.frozen_dtype=int8"], "cache_states with frozen_dtype int8; leave one of them out"),
    ],
)
def test_states_that_would_change_are_not_kept(run, overrides, message):
    with pytest.raises(InputError, match=message):
        run("run.cache_states=1", *overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tuning.first_layer=0"], "frozen_dtype int8 without frozen layers; set tuning.first_layer above 0"),
        (["run.attention_ramp=1", "model.attention=bidirectional"], "frozen_dtype int8 with attention_ramp"),
        (["tuning={method: full, frozen_dtype: int8}"], "frozen_dtype belongs to method lora"),
    ],
)
def test_int8_is_for_frozen_layers(run, overrides, message):
    with pytest.raises(InputError, match=message):
        run("tuning.frozen_dtype=int8", *overrides)


@pytest.mark.parametrize(
    ("override", "name"), [("run.cache_states=1", r"run\.cache_states 1"), ("tuning.frozen_dtype=int8", "int8")]
)
def test_an_encoder_has_no_frozen_layers(run, override, name):
    with pytest.raises(InputError, match=f"{name} for .*, of which no layer is frozen"):
        run(override, architecture="bert", mode="bidirectional")


def test_a_run_on_int8_takes_nearly_the_same_course(run, monkeypatch):
    monkeypatch.setattr(int8_texts, "MIN_COSINE", 0.99)  # a tiny model's states move further than a real one's
    said = []
    settings = ("run={steps: 5, seed: 3, dtype: fp32}", "optim.lr=0.003")
    full = run(*settings, open_frozen=open_frozen)
    rounded = run(*settings, "tuning.frozen_dtype=int8", open_frozen=open_frozen, remark=said.append)
    if torch.int8 in load_kernels().dtypes:
        assert rounded != full
        assert said == []
    else:
        assert [line.partition(": no kernel")[0] for line in said] == [REFUSED]
    assert rounded == pytest.approx(full, rel=0.02)
    run(*settings, "tuning.frozen_dtype=int8", remark=said.append)
    assert said[-1] == f"{REFUSED}: the run was given nothing that runs them"


@pytest.fixture
def cache():
    """Open caches, closed at the end."""
    opened = []

    def make(folder, max_bytes=10_000, dtype=torch.float32):
        opened.append(StateCache(folder, width=2, dtype=dtype, max_bytes=max_bytes))
        return opened[-1]

    yield make
    for made in opened:
        made.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_one_run_keeps_another_reads(tmp_path, dtype, cache):
    first = cache(tmp_path / "states" / "a", dtype=dtype)
    rows = [torch.randn(number + 1, 2).to(dtype) for number in range(3)]
    for key, states in zip(KEYS, rows, strict=False):
        first.put(key, states)
    other = cache(tmp_path / "states" / "a", dtype=dtype)  # while the first still has its file open
    for opened in (first, other):
        assert all(torch.equal(opened.get(key), states) for key, states in zip(KEYS, rows, strict=False))
        assert opened.get(KEYS[5]) is None


def test_a_torn_or_damaged_record_is_computed_again(tmp_path, cache):
    folder = tmp_path / "states" / "a"
    first = cache(folder)
    for key in KEYS[:3]:
        first.put(key, torch.ones(2, 2))
    first.close()
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[30] ^= 1  # in the states of the first
    path.write_bytes(data[:-3])  # within those of the last
    other = cache(folder)
    assert other.get(KEYS[0]) is None
    assert torch.equal(other.get(KEYS[1]), torch.ones(2, 2))
    assert other.get(KEYS[2]) is None
    other.put(KEYS[2], torch.zeros(1, 2))
    assert torch.equal(cache(folder).get(KEYS[2]), torch.zeros(1, 2))


def test_the_bound_holds_for_all_layers_together_and_the_oldest_go_first(tmp_path, cache):
    root = tmp_path / "states"
    for name in ("old", "new"):
        cache(root / name).put(KEYS[0], torch.ones(10, 2))  # 24 + 80 bytes
    made = cache(root / "own", max_bytes=250)
    for number in range(6):
        made.put(KEYS[number], torch.ones(10, 2))
        assert sum(path.stat().st_size for path in root.rglob("*.states")) <= 250
    assert [path.name for path in root.iterdir()] == ["own"]
    assert [made.get(key) is not None for key in KEYS[:6]] == [True, True, False, False, False, False]


def test_a_full_disk_ends_the_keeping_and_nothing_else(tmp_path, monkeypatch, cache):
    made = cache(tmp_path / "states" / "a")
    monkeypatch.setattr(made, "_begin", lambda: (_ for _ in ()).throw(OSError("no space left")))
    made.put(KEYS[0], torch.ones(1, 2))
    assert made.get(KEYS[0]) is None


def test_weights_and_mode_tell_states_apart():
    batch = PackedBatch.from_sequences([[5, 6, 7], [8]])
    found = []
    for mode, seed in [("causal", 0), ("bidirectional", 0), ("causal", 1)]:
        model = tiny.embedding_model("llama", mode)
        with torch.no_grad():
            next(iter(model.backbone.hf_model.layers)).mlp.up_proj.weight.add_(seed)
        add_lora(model.backbone, LoraSettings(first_layer=2))
        states = own_states(model.backbone, 2)
        with kept_states(states, model.backbone, 2, max_bytes=1 << 20) as kept:
            for _ in range(2):
                torch.testing.assert_close(kept(batch), states(batch))
            found.append(kept(batch))
    assert len(list((cache_root() / "states").iterdir())) == 3
    assert not torch.allclose(found[0], found[1])
