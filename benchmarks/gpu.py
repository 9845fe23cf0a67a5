"""The CUDA path, checked and timed in one go: `python -m benchmarks.gpu`. Needs no weights and no network.

A decoder of the shape of Qwen2-0.5B with random weights. First parity: packed texts against the same texts one by one,
bfloat16 against float32, in both attention modes; then documents of 512 tokens and texts of mixed lengths, packed as
slimvec runs them, beside padded batches as sentence-transformers runs them, in turn, as shares of the GPU's own peak.
Without a CUDA device nothing is measured; `--tiny` rehearses everything with a tiny model, on the CPU if need be.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, Qwen2Config

from benchmarks.flops import Work
from benchmarks.processes import ROOT
from benchmarks.results import Frozen, Spread, write_json
from slimvec.engine.compiled import CompiledBackbone
from slimvec.engine.fused.spec import read_spec
from slimvec.model.attention import ATTENTION_NAME
from slimvec.model.backbone import TransformersBackbone
from slimvec.model.head import Head, finish
from slimvec.model.pooling import pool
from slimvec.model.protocols import Backbone
from slimvec.model.spec import AttentionMode, ModelSpec
from slimvec.text.batch import PackedBatch

Texts = list[list[int]]
Embed = Callable[[Texts], Tensor]
MODES: tuple[AttentionMode, ...] = ("causal", "bidirectional")
MIN_COSINE = 0.999
_SHAPE = {
    "num_hidden_layers": 24,
    "hidden_size": 896,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151_936,
}
_TINY = {
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 512,
}


class ModeParity(Frozen):
    """Lowest cosines of vectors in one attention mode.

    Attributes:
        packed_alone: Packed together against one by one, in the working dtype.
        half_full: The working dtype against float32.
        padded: Packed against transformers' own padded batch; causal mode only, it knows no other.
        modes_differ: Lowest cosine with the other mode's vectors: below 1, or the check above could not fail.
    """

    packed_alone: float
    half_full: float
    padded: float | None
    modes_differ: float


class GpuTiming(Frozen):
    """One way to run a workload: tokens a second by round, and the middle share of the peak."""

    tokens_per_s: tuple[float, ...]
    share_of_peak: float


class GpuResult(Frozen):
    """Everything that was found.

    Attributes:
        device: Name of the device.
        dtype: Working dtype.
        versions: Packages and CUDA.
        shape: Shape of the model.
        gemm_gflops: The device's own peak in the working dtype.
        parity: By attention mode.
        timings: By workload and engine.
        ratios: slimvec's best over each padded engine, round by round, by workload.
        failed: Engines that could not run, and why.
    """

    device: str
    dtype: str
    versions: Mapping[str, str]
    shape: Mapping[str, int]
    gemm_gflops: float
    parity: Mapping[str, ModeParity]
    timings: Mapping[str, Mapping[str, GpuTiming]]
    ratios: Mapping[str, Mapping[str, Spread]]
    failed: Mapping[str, str]


class Device:
    """Where to run.

    Args:
        tiny: Rehearse.
    """

    def __init__(self, *, tiny: bool) -> None:
        self.tiny = tiny
        self.torch = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = Qwen2Config(**(_TINY if tiny else _SHAPE), max_position_embeddings=1024)

    @property
    def name(self) -> str:
        """What it is called."""
        return torch.cuda.get_device_name() if self.torch.type == "cuda" else "CPU"

    def hf_model(self, attention: str, dtype: torch.dtype) -> Any:
        """The model with the same random weights every time."""
        torch.manual_seed(0)
        model = AutoModel.from_config(self.config, dtype=torch.float32, attn_implementation=attention)
        return model.to(self.torch, dtype).eval()

    def seconds(self, run: Callable[[], object]) -> float:
        """Time a call to its end on the device."""
        self._wait()
        start = time.perf_counter()
        run()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.torch.type == "cuda":
            torch.cuda.synchronize()


def packed(device: Device, mode: AttentionMode, dtype: torch.dtype, *, compiled: bool = False) -> Embed:
    """Slimvec's way: texts end to end, varlen attention, pooled by their borders."""
    from slimvec.model.attention import register

    register()
    backbone = TransformersBackbone(device.hf_model(ATTENTION_NAME, dtype), mode).eval()
    run: Backbone = CompiledBackbone(backbone) if compiled else backbone
    spec, head = ModelSpec(attention=mode), Head((), backbone.dims)

    def embed(texts: Texts) -> Tensor:
        batch = PackedBatch.from_sequences(texts).to(device.torch)
        with torch.inference_mode():
            return finish(pool(run(batch), batch, spec.pooling), head, spec)

    return embed


def padded(device: Device, attention: str, dtype: torch.dtype, *, batch_size: int) -> Embed:
    """The way of sentence-transformers: sorted by length, padded, masked mean."""
    model = device.hf_model(attention, dtype)

    def embed_batch(texts: Texts) -> Tensor:
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts]).to(device.torch)
        lengths = torch.tensor([len(text) for text in texts]).to(device.torch)
        mask = (torch.arange(longest, device=device.torch) < lengths[:, None]).long()
        states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        pooled = (states * mask[..., None]).float().sum(dim=1) / lengths[:, None]
        return torch.nn.functional.normalize(pooled, dim=1)

    def embed(texts: Texts) -> Tensor:
        order = sorted(range(len(texts)), key=lambda text: -len(texts[text]))
        with torch.inference_mode():
            parts = [
                embed_batch([texts[text] for text in order[first : first + batch_size]])
                for first in range(0, len(order), batch_size)
            ]
        return torch.cat(parts)[torch.tensor(order).argsort().to(device.torch)]

    return embed


def random_texts(lengths: Sequence[int], vocabulary: int) -> Texts:
    """Random tokens."""
    rng = random.Random(0)
    return [[rng.randrange(1, vocabulary) for _ in range(length)] for length in lengths]


def check_parity(device: Device, dtype: torch.dtype) -> dict[str, ModeParity]:
    """Compare vectors of texts of many lengths."""
    rng = random.Random(1)
    texts = random_texts([1, 2, 17, 512, *(rng.randrange(1, 300) for _ in range(12))], device.config.vocab_size)
    together = {mode: packed(device, mode, dtype)(texts) for mode in MODES}
    rows: dict[str, ModeParity] = {}
    for mode in MODES:
        other = together[MODES[1 - MODES.index(mode)]]
        embed = packed(device, mode, dtype)
        alone = torch.cat([embed([text]) for text in texts])
        full = packed(device, mode, torch.float32)(texts)
        beside = padded(device, "sdpa", dtype, batch_size=4)(texts) if mode == "causal" else None
        rows[mode] = ModeParity(
            packed_alone=lowest_cosine(together[mode], alone),
            half_full=lowest_cosine(together[mode], full),
            padded=None if beside is None else lowest_cosine(together[mode], beside),
            modes_differ=lowest_cosine(together[mode], other),
        )
    return rows


def lowest_cosine(one: Tensor, other: Tensor) -> float:
    """Lowest cosine of rows."""
    return float(torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=1).min())


def parity_failures(parity: Mapping[str, ModeParity]) -> list[str]:
    """What is wrong, one line each."""
    found = []
    for mode, row in parity.items():
        values = {"packed against alone": row.packed_alone, "against float32": row.half_full}
        values |= {} if row.padded is None else {"against padded": row.padded}
        found += [f"{mode}: {name} {value:.5f}" for name, value in values.items() if not value >= MIN_COSINE]
        if row.modes_differ > 0.99999:
            found.append(f"{mode}: gives the vectors of the other mode")
    return found


def gemm_gflops(device: Device, dtype: torch.dtype) -> float:
    """Peak of a large square product."""
    side = 256 if device.tiny else 8192
    left, right = (torch.randn(side, side, device=device.torch).to(dtype) for _ in range(2))
    left @ right
    best = min(device.seconds(lambda: [left @ right for _ in range(10)]) for _ in range(5)) / 10
    return 2 * side**3 / best / 1e9


def engines(device: Device, dtype: torch.dtype) -> tuple[dict[str, Embed], dict[str, str]]:
    """Ways to run, and why some are missing."""
    ready: dict[str, Embed] = {
        "slimvec": packed(device, "causal", dtype),
        "slimvec, compiled": packed(device, "causal", dtype, compiled=True),
        "padded, sdpa, 32 texts": padded(device, "sdpa", dtype, batch_size=32),
        "padded, sdpa, 128 texts": padded(device, "sdpa", dtype, batch_size=128),
    }
    if find_spec("flash_attn") is None:
        return ready, {"padded, flash_attention_2": "flash-attn is not installed"}
    ready["padded, flash_attention_2"] = padded(device, "flash_attention_2", dtype, batch_size=32)
    return ready, {}


def time_engines(
    ready: dict[str, Embed], failed: dict[str, str], texts: Texts, device: Device, rounds: int
) -> dict[str, list[float]]:
    """Tokens a second by engine and round, after two untimed calls each; one that fails leaves, with its reason."""
    num_tokens = sum(map(len, texts))
    speeds: dict[str, list[float]] = {name: [] for name in ready}
    for number in range(-2, rounds):
        for name in list(ready):
            try:
                seconds = device.seconds(lambda name=name: ready[name](texts))  # type: ignore[misc]
            except (RuntimeError, ImportError, ValueError) as error:  # out of memory, a kernel that is not there
                failed[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
                del ready[name], speeds[name]
                continue
            if number >= 0:
                speeds[name].append(num_tokens / seconds)
    return speeds


def timings(speeds: Mapping[str, Sequence[float]], texts: Texts, work: Work, peak: float) -> dict[str, GpuTiming]:
    """Speeds with their shares of the peak."""
    lengths = list(map(len, texts))
    gflops_per_token = work.of(lengths) / sum(lengths) / 1e9
    return {
        name: GpuTiming(tokens_per_s=tuple(values), share_of_peak=Spread.of(values).median * gflops_per_token / peak)
        for name, values in speeds.items()
    }


def ratios(found: Mapping[str, GpuTiming]) -> dict[str, Spread]:
    """The faster of slimvec's ways over every padded one, round by round."""
    own = [timing for name, timing in found.items() if name.startswith("slimvec")]
    if not own:
        return {}
    best = max(own, key=lambda timing: Spread.of(timing.tokens_per_s).median)
    return {
        name: Spread.of([a / b for a, b in zip(best.tokens_per_s, timing.tokens_per_s, strict=True)])
        for name, timing in found.items()
        if name.startswith("padded")
    }


def measure(device: Device, rounds: int) -> GpuResult:
    """Check, then time."""
    dtype = torch.bfloat16
    parity = check_parity(device, dtype)
    ready, failed = engines(device, dtype)
    work = Work(read_spec(device.config.to_dict()), causal=True)
    rng, count = random.Random(2), 4 if device.tiny else 256
    lengths = {
        "documents": [512] * count,
        "mixed": [min(max(round(rng.lognormvariate(3.8, 0.68)), 10), 250) for _ in range(8 * count)],
    }
    peak = gemm_gflops(device, dtype)
    found: dict[str, dict[str, GpuTiming]] = {}
    for name, chosen in lengths.items():
        texts = random_texts(chosen, device.config.vocab_size)
        found[name] = timings(time_engines(ready, failed, texts, device, rounds), texts, work, peak)
    return GpuResult(
        device=device.name,
        dtype=str(dtype).removeprefix("torch."),
        versions={
            **{package: version(package) for package in ("slimvec", "torch", "transformers")},
            "cuda": torch.version.cuda or "none",
        },
        shape=_TINY if device.tiny else _SHAPE,
        gemm_gflops=peak,
        parity=parity,
        timings=found,
        ratios={name: ratios(timing) for name, timing in found.items()},
        failed=failed,
    )


def show(result: GpuResult) -> None:
    """Print what was found."""
    print(f"{result.device}, {result.dtype} products {result.gemm_gflops / 1000:,.2f} TFLOP/s")
    for mode, row in result.parity.items():
        print(f"{mode}: packed/alone {row.packed_alone:.5f}, bf16/fp32 {row.half_full:.5f}, padded {row.padded}")
    for workload, by_engine in result.timings.items():
        for name, timing in by_engine.items():
            speed = Spread.of(timing.tokens_per_s)
            ratio = result.ratios[workload].get(name)
            beside = f", slimvec is faster by {ratio.median:.2f} x" if ratio else ""
            print(f"{workload}, {name}: {speed.median:,.0f} tokens/s, {timing.share_of_peak:.1%} of peak{beside}")
    for name, reason in result.failed.items():
        print(f"{name}: not measured, {reason}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check and time; 1 when parity fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on the CPU where there is no CUDA device")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/qwen2-0.5b-cuda.json")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available() and not options.tiny:
        print("no CUDA device: nothing measured")
        return 0
    result = measure(Device(tiny=options.tiny), options.rounds)
    name = "tiny-gpu-rehearsal.json" if options.tiny else "qwen2-0.5b-cuda.json"
    write_json(result, options.output or ROOT / "benchmarks" / "results" / name)
    show(result)
    wrong = parity_failures(result.parity)
    for line in wrong:
        print(f"WRONG: {line}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
