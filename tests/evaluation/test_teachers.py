"""Teachers: any folder the engine loads, Dense modules included; vectors kept as float16, whatever computed them."""

import numpy as np
import pytest
import torch

from slimvec import Embedder
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.evaluation.teachers import open_teacher
from slimvec.model.cache import cache_root
from slimvec.model.folder import save_model
from slimvec.model.head import Head
from slimvec.model.spec import DenseLayer
from tests import tiny

TEXTS = ["a cat", "the dog sleeps", "north and south"]


@pytest.fixture
def folder(tmp_path):
    """A folder of sentence-transformers with two Dense modules, as EmbeddingGemma has them."""
    model = tiny.embedding_model("gemma3_text", "bidirectional")
    layers = tuple(
        DenseLayer(in_dims=a, out_dims=b, bias=False, activation="Identity") for a, b in ((32, 48), (48, 12))
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model.head, model.spec = Head(layers, 32), model.spec.replace(head=layers)
    save_model(model, tmp_path / "teacher")
    for name in ("slimvec.json", "golden.json"):
        (tmp_path / "teacher" / name).unlink()
    return tmp_path / "teacher"


@pytest.fixture(autouse=True)
def precise(monkeypatch):
    """A machine that does not compute in bfloat16, whichever this is."""
    monkeypatch.setattr("slimvec.evaluation.teachers.compute_dtype", lambda: torch.float32)


def test_it_computes_in_bfloat16_where_the_machine_does(folder, monkeypatch):
    precise = open_teacher(str(folder))
    monkeypatch.setattr("slimvec.evaluation.teachers.compute_dtype", lambda: torch.bfloat16)
    fast = open_teacher(str(folder))
    assert fast.identity == precise.identity
    made = fast(TEXTS, "document", None)
    cosines = (made * Embedder.load(folder).embed_documents(TEXTS)).sum(axis=1)
    assert not np.array_equal(cosines.round(4), np.ones(3))
    np.testing.assert_allclose(cosines, 1, atol=0.02)


def test_vectors_are_the_models_own_rounded_once_and_kept(folder, monkeypatch):
    teacher = open_teacher(str(folder))
    assert teacher.dims == 12
    own = Embedder.load(folder).embed_documents(TEXTS)
    made = teacher(TEXTS, "document", None)
    np.testing.assert_array_equal(made, made.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(made, own, atol=5e-4)
    monkeypatch.setattr(SlimvecModel, "embed", None)  # whatever is known is not computed again
    again = open_teacher(str(folder))
    np.testing.assert_array_equal(again(TEXTS[::-1], "document", None), made[::-1])
    (file,) = (cache_root() / "teachers").iterdir()
    assert file.stem == teacher.identity[:40] == again.identity[:40]


def test_another_role_or_model_has_vectors_of_its_own(folder, tmp_path):
    teacher = open_teacher(str(folder))
    save_model(tiny.embedding_model(seed=1), tmp_path / "other")
    assert open_teacher(str(tmp_path / "other")).identity != teacher.identity
    assert teacher(TEXTS, "query", None).shape == (3, 12)


def test_likelihoods_are_the_language_models_own_and_computed_once(tmp_path, monkeypatch):
    tiny.save_causal_model(tmp_path / "lm")
    pairs = [("a", TEXTS[0]), ("b", TEXTS[1]), ("a", TEXTS[1]), ("a", TEXTS[0])]
    model = Embedder.load(tmp_path / "lm").language_model
    wanted = [model.log_likelihood([query], [text]).values[0, 0] for query, text in pairs]
    np.testing.assert_allclose(open_teacher(str(tmp_path / "lm")).likelihoods(pairs[:2]), wanted[:2], atol=1e-5)
    teacher, asked = open_teacher(str(tmp_path / "lm")), []
    own = teacher._compute
    monkeypatch.setattr(teacher, "_compute", lambda missing: (asked.extend(missing), own(missing))[1])
    np.testing.assert_allclose(teacher.likelihoods(pairs), wanted, atol=1e-5)
    np.testing.assert_allclose(teacher.likelihoods(pairs), wanted, atol=1e-5)
    assert asked == [("a", TEXTS[1])]
