"""Write a result as Markdown: `python -m benchmarks.render RESULT.json`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.catalogue import BASELINE, ENGINES
from benchmarks.results import BenchResult, Spread, Timing, WorkloadResult
from slimvec.files import atomic_file

_TITLES = {
    "queries": "Short queries behind an instruction",
    "mixed": "Mixed lengths",
    "documents": "Long documents",
    "single": "One short text at a time",
}


def render(result: BenchResult) -> str:
    """Give the Markdown of a result."""
    parts = [
        f"# {result.model}: slimvec and its peers in turn",
        _about(result),
        *(_workload(name, workload, result) for name, workload in result.workloads.items()),
        _engines(result),
        _retrieval(result),
        _absent(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_markdown(result: BenchResult, path: Path) -> None:
    """Write the Markdown of a result, in place of an older one.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_file(path, force=True) as temporary:
        temporary.write_text(render(result), encoding="utf-8")


def _about(result: BenchResult) -> str:
    machine, settings = result.machine, result.settings
    peaks = {dtype: Spread.of(values) for dtype, values in result.gemm_gflops.items() if values}
    shown = "; ".join(f"{dtype} {p.median:,.0f} GFLOP/s ({p.low:,.0f} to {p.high:,.0f})" for dtype, p in peaks.items())
    cut = "" if result.rounds_done == settings.rounds else f" of {settings.rounds} asked for"
    family = f" (family/model/stepping {machine.family})" if machine.family else ""
    return (
        f"{result.date}. {machine.cpu}{family}, {machine.physical_cores} cores, {settings.num_threads} threads for "
        f"every engine, {machine.memory_gb:.0f} GB, {', '.join(machine.flags)}, {machine.system}, "
        f"Python {machine.python}.\n"
        f"Texts: {settings.texts}. {result.rounds_done} rounds{cut}; cells are the middle round (lowest to highest).\n"
        f"The machine's own matrix products: {shown}."
    )


def _workload(name: str, workload: WorkloadResult, result: BenchResult) -> str:
    title = f"## {_TITLES.get(name, name)}"
    instruction = f", {workload.instruction_tokens} of them the instruction" if workload.instruction_tokens else ""
    about = (
        f"{workload.num_texts} texts of {workload.mean_tokens:.0f} tokens on average{instruction}, "
        f"the longest {workload.longest}; {workload.num_tokens:,} tokens in all, credited alike to every engine."
    )
    ratios, int8_ratios = result.ratios.get(name, {}), result.int8_ratios.get(name, {})
    rows = [
        _row(engine, timing, result, [ratios.get(engine), *([int8_ratios.get(engine)] if int8_ratios else [])])
        for engine, timing in sorted(workload.engines.items(), key=lambda item: -median(item[1].tokens_per_s))
    ]
    faster = ["slimvec is faster by", *(["slimvec in int8 is"] if int8_ratios else [])]
    header = ["engine", "tokens/s", *faster, "of bf16 peak", "of fp32 peak"]
    if workload.one_by_one:
        header += ["median ms", "p95 ms"]
    return f"{title}\n\n{about}\n\n{_table(header, rows)}"


def _row(engine: str, timing: Timing, result: BenchResult, ratios: Sequence[Spread | None]) -> list[str]:
    speed = Spread.of(timing.tokens_per_s)
    label = result.engines[engine].label
    cells = [
        f"**{label}**" if engine == BASELINE else label,
        f"{speed.median:,.0f} ({speed.low:,.0f} to {speed.high:,.0f})",
        *(f"{ratio.median:.2f} x ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "" for ratio in ratios),
        "none" if timing.share_of_bf16_peak is None else f"{timing.share_of_bf16_peak:.0%}",
        f"{timing.share_of_fp32_peak:.0%}",
    ]
    if timing.latency is not None:
        cells += [f"{timing.latency.median_ms:.1f}", f"{timing.latency.p95_ms:.1f}"]
    return cells


def _engines(result: BenchResult) -> str:
    rows = []
    for engine in result.engines.values():
        parity = engine.parity
        packages = [f"{name} {value}" for name, value in engine.details.items() if name not in ("dtype", "versions")]
        rows.append(
            [
                engine.label,
                engine.details.get("dtype", ""),
                f"{parity.min_cosine:.5f}" if parity else "",
                f"{parity.mean_cosine:.5f}" if parity else "",
                f"{engine.load_seconds:.1f}",
                f"{engine.peak_rss_mb:,.0f}",
                f"{engine.idle_cores:.3f}",
                ", ".join(packages),
            ]
        )
    header = [
        "engine",
        "computes in",
        "lowest cosine",
        "mean cosine",
        "first vector, s",
        "peak memory, MB",
        "cores busy when idle",
        "what it is",
    ]
    return (
        "## Engines\n\nCosines are with slimvec's transformers path in float32, on the same texts.\n\n"
        f"{_table(header, rows)}"
    )


def _retrieval(result: BenchResult) -> str:
    named = (("as it comes", result.retrieval), ("in int8", result.int8_retrieval))
    lines = [
        f"{found.name}, {found.num_documents} documents, {found.num_queries} queries: nDCG@10 "
        f"{found.ndcg_at_10:.4f} by slimvec {how}, {found.reference_ndcg_at_10:.4f} by the float32 reference, "
        f"difference {found.difference:+.4f}."
        for how, found in named
        if found is not None
    ]
    return "\n\n".join(["## Search", *lines]) if lines else ""


def _absent(result: BenchResult) -> str:
    reasons: dict[str, list[str]] = {}
    for engine, reason in result.absent.items():
        reasons.setdefault(reason, []).append(ENGINES[engine].label)
    lines = [f"- {'; '.join(labels)}: {reason}" for reason, labels in reasons.items()]
    return "## Not measured\n\n" + "\n".join(lines) if lines else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])


if __name__ == "__main__":
    source = Path(sys.argv[1])
    write_markdown(BenchResult.model_validate_json(source.read_bytes()), source.with_suffix(".md"))
