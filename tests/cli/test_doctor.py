import pytest
import torch

from slimvec.cli.doctor import KEYS
from slimvec.engine.kernels.library import Kernels
from tests.model.foreign import edit, foreign


@pytest.fixture(autouse=True)
def _measured_already(monkeypatch):
    """Rates of a processor that emulates bfloat16."""
    rates = {torch.float32: 50.0, torch.bfloat16: 1.0}
    monkeypatch.setattr("slimvec.engine.machine.product_rate", rates.__getitem__)
    monkeypatch.setattr("slimvec.engine.machine.copy_rate", lambda: 8.25)


def use_kernels(monkeypatch, kernels):
    monkeypatch.setattr("slimvec.engine.machine.load_kernels", lambda: kernels)


def test_json_names_engine_dtypes_and_reason(slimvec, monkeypatch):
    use_kernels(monkeypatch, Kernels((torch.float32,), "the processor has no avx512_bf16"))
    found = slimvec("doctor", "--json").json
    assert set(found) == set(KEYS)
    assert (found["engine"]["name"], found["engine"]["isa"]) == ("fused/native", "")
    assert found["engine"]["reason"] == "the processor has no avx512_bf16"
    assert found["dtypes"] == {
        "float32": {"native": True, "gflops": 50.0, "times_slower": 1.0},
        "bfloat16": {"native": False, "gflops": 1.0, "times_slower": 50.0},
        "int8": {"native": False, "gflops": None, "times_slower": None},
    }
    assert found["versions"]["torch"] == torch.__version__
    assert found["cache"]["models"] == []
    assert found["model"] is None


def test_people_read_what_is_slow_and_what_is_missing(slimvec, monkeypatch):
    use_kernels(monkeypatch, Kernels((), "no C++ compiler (c++, or $CXX)"))
    monkeypatch.setattr("slimvec.optional.find_spec", lambda module: None if module == "mteb" else module)
    out = slimvec("doctor").out
    assert "engine      fused/torch; nothing faster: no C++ compiler (c++, or $CXX)\n" in out
    assert "torch 1.0 GFLOP/s, 50.0 times slower than float32" in out
    assert "pip install 'slimvec[eval]' for mteb's tasks" in out
    assert "(missing: mteb)" in out


def test_nothing_missing_is_nothing_advised(slimvec, monkeypatch):
    monkeypatch.setattr("slimvec.optional.find_spec", lambda module: module)
    monkeypatch.setattr("slimvec.cli.doctor._LITTLE_MEMORY", 0)
    monkeypatch.setattr("slimvec.cli.doctor._LITTLE_DISK", 0)
    monkeypatch.setattr("slimvec.cli.doctor.shutil.which", lambda _: None)
    found = slimvec("doctor", "--json").json
    assert (found["extras"], found["advice"]) == ({}, [])


def test_a_model_is_loaded_and_named(slimvec, model):
    found = slimvec("doctor", model, "--json").json["model"]
    assert found["folder"] == str(model)
    assert found["dims"] == 32
    assert found["engine"].startswith("fused/")
    assert f"{model}" in slimvec("doctor", model).out


def test_a_model_that_is_not_there(slimvec):
    outcome = slimvec("doctor", "no-such-model", "--json")
    assert outcome.code == 2
    assert "no-such-model" in outcome.error


@pytest.mark.filterwarnings("ignore::slimvec.errors.ModelWarning")
def test_a_model_is_laid_open(slimvec, tmp_path):
    folder = foreign(tmp_path / "model")
    edit(folder / "tokenizer_config.json", add_eos_token=True, eos_token="<unk>")
    result = slimvec("doctor", str(folder), "--json")
    found = result.json["model"]
    assert found["architecture"] == "llama"
    assert found["settings"]["max_tokens"] == {
        "value": 200,
        "file": str(folder / "sentence_bert_config.json"),
        "key": "max_seq_length",
    }
    assert found["settings"]["pooling"]["value"]["mode"] == "mean"
    assert found["tensors"]["num"] == 29
    assert found["beside"]["cosine"] > 0.99999
    assert "config.json" in found["files"]
    assert "does not add '<unk>'" in found["notices"][0]
    out = slimvec("doctor", str(folder)).out
    assert f"max_tokens  200  (max_seq_length in {folder}/sentence_bert_config.json)\n" in out
    assert "tensors     29, all accounted for\n" in out
    assert "beside      sentence-transformers' vectors: cosine 1.0000" in out
