"""`slimvec doctor`: what this machine is, what would run on it and why nothing faster does, what to add for more."""

import json
import shutil
from typing import TYPE_CHECKING, Any

from slimvec.cli.models import load_embedder
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.files import folder_size
from slimvec.reports.amounts import size

if TYPE_CHECKING:
    from slimvec.engine.machine import Diagnosis, DtypeSpeed, Machine

KEYS = {
    "machine": "processor, architecture, system, cores, instruction_sets, gpus, memory_bytes, free_memory_bytes",
    "engine": "what runs decoders on the CPU: name, isa (instruction set of the kernels), reason "
    "(why nothing faster does; empty when nothing is) and "
    "num_threads",
    "dtypes": "float32, bfloat16 and int8, each with native (slimvec's kernels compute in it), gflops of torch's "
    "products and times_slower than float32; null where that is not measured",
    "copy_gb_per_s": "memory copied in a second",
    "versions": "versions of slimvec, Python, torch and the other packages that a result depends on",
    "cache": "folder, models in it, num_bytes, free_bytes of its disk",
    "extras": "packages that are not installed, by extra",
    "advice": "what to do for more",
    "model": "with MODEL: source, folder, dims, max_tokens, engine, reason, dtype, architecture, files (bytes by "
    "path), settings (each with value, file and key that decides it), notices, tensors (num, passed_over) and beside "
    "(cosine with sentence-transformers' vectors, or why there is none); null without",
}
_PACKAGES = ("safetensors", "peft", "accelerate", "pyarrow", "mteb")
"""Named beside those that a score depends on."""
_LITTLE_MEMORY, _LITTLE_DISK = 2e9, 2e9


def doctor(
    terminal: Terminal,
    *,
    model: str | None = None,
) -> Result:
    """Say what this machine computes with, and what stands in the way of more.

    Shows the processor and its instruction sets, the engine and the dtypes that run and why nothing faster does, the
    measured speed of products and copies, versions, the cache, free disk and memory, and what to install for more.

    Positional:
        model: A model to look at too: a folder, a .gguf file, a built-in or hub name.
    """
    with terminal.task("measuring the machine"):
        from slimvec.engine.machine import diagnose, this_machine
        from slimvec.evaluation.results import package_versions
        from slimvec.optional import missing_extras

        machine, found = this_machine(), diagnose()
    report: Result = {
        "machine": machine,
        "engine": {"name": found.engine, "isa": found.isa, "reason": found.reason, "num_threads": found.num_threads},
        "dtypes": found.dtypes,
        "copy_gb_per_s": found.copy_gb_per_s,
        "versions": package_versions(_PACKAGES),
        "cache": _cache(),
        "extras": {extra: list(modules) for extra, modules in missing_extras().items()},
    }
    report["advice"] = _advice(report, machine)
    report["model"] = None if model is None else _model(terminal, model)
    terminal.print(*_lines(report, machine, found))
    return report


def _cache() -> dict[str, Any]:
    """Say where the cache is, what it holds, and how much room is left there."""
    from slimvec.engine.machine import free_disk
    from slimvec.model.cache import cache_root

    root = cache_root()
    models = root / "models"
    names = sorted(path.name for path in models.iterdir() if not path.name.startswith(".")) if models.is_dir() else []
    return {"folder": str(root), "models": names, "num_bytes": folder_size(root), "free_bytes": free_disk(root)}


def _advice(report: Result, machine: "Machine") -> list[str]:
    """Say what to do for more."""
    from slimvec.optional import PURPOSES

    advice = [
        f"pip install 'slimvec[{extra}]' for {PURPOSES[extra]} (missing: {', '.join(modules)})"
        for extra, modules in report["extras"].items()
    ]
    if not machine.gpus and shutil.which("nvidia-smi"):
        advice.append("install a build of torch with CUDA: this machine has an NVIDIA driver, and torch sees no GPU")
    if machine.free_memory_bytes < _LITTLE_MEMORY:
        advice.append("close other programs: training and large models need more than 2 GB of free memory")
    if report["cache"]["free_bytes"] < _LITTLE_DISK:
        advice.append("free some disk, or point SLIMVEC_CACHE elsewhere: models need up to 2 GB while they are fetched")
    return advice


def _model(terminal: Terminal, source: str) -> dict[str, Any]:
    """Load a model and say what runs it, what decides its settings, and whether another library agrees."""
    from slimvec.evaluation.peers import cosine_beside
    from slimvec.model.inspection import inspect_model
    from slimvec.model.opening import open_model

    embedder = load_embedder(terminal, source)
    opened = open_model(source)
    with terminal.task("asking sentence-transformers"), terminal.clean_stdout():
        cosine, reason = cosine_beside(embedder, opened.folder)
    return {
        "source": source,
        "folder": str(opened.folder),
        **inspect_model(opened).as_json(),
        "beside": {"cosine": cosine, "reason": reason},
        **named(embedder, ("dims", "engine", "dtype")),
        "max_tokens": embedder.spec.max_tokens,
        "reason": embedder.engine_reason,
    }


def _lines(report: Result, machine: "Machine", found: "Diagnosis") -> list[str]:
    """Write the report for people."""
    cache, model = report["cache"], report["model"]
    sets = " ".join(machine.instruction_sets) or "no instruction sets that are known to matter"
    rows = [
        ("processor", f"{machine.processor}, {machine.cores} cores, {machine.architecture}: {sets}"),
        ("GPU", ", ".join(machine.gpus) or "none that torch sees"),
        ("engine", f"{found.engine}{f' on {found.isa}' if found.isa else ''}{_because(found.reason)}"),
        *((name, _dtype_line(speed)) for name, speed in found.dtypes.items()),
        ("copies", f"{found.copy_gb_per_s:g} GB/s"),
        ("memory", f"{size(machine.free_memory_bytes)} free of {size(machine.memory_bytes)}"),
        ("cache", f"{cache['folder']}: {size(cache['num_bytes'])} ({', '.join(cache['models']) or 'no models'})"),
        ("disk", f"{size(cache['free_bytes'])} free there"),
        ("versions", ", ".join(f"{name} {number}" for name, number in report["versions"].items())),
    ]
    if model is not None:
        limits = f"{model['dims']} dims, {model['max_tokens']} tokens"
        rows.append((model["source"], f"{model['engine']} in {model['dtype']}, {limits}{_because(model['reason'])}"))
        rows += _model_rows(model)
    rows += [("for more", line) for line in report["advice"]]
    return [f"{name:10}  {line}" for name, line in rows]


def _model_rows(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Write what a model's files come to."""
    files, tensors, beside = model["files"], model["tensors"], model["beside"]
    rows = [("files", f"{len(files)} in {model['folder']}, {size(sum(files.values()))}; {model['architecture']}")]
    for name, one in model["settings"].items():
        place = f"{one['key']} in {one['file']}" if one["file"] else one["key"] or "slimvec's default"
        rows.append((name, f"{json.dumps(one['value'], ensure_ascii=False)}  ({place})"))
    passed = f", {len(tensors['passed_over'])} of them for other uses" if tensors["passed_over"] else ""
    rows.append(("tensors", f"{tensors['num']:,}, all accounted for{passed}"))
    rows.append(("beside", beside["reason"] or f"sentence-transformers' vectors: cosine {beside['cosine']:.6f}"))
    return rows + [("notice", line) for line in model["notices"]]


def _because(reason: str) -> str:
    return f"; nothing faster: {reason}" if reason else ", the fastest there is"


def _dtype_line(speed: "DtypeSpeed") -> str:
    """Say how a dtype is computed in."""
    parts = ["slimvec's kernels" if speed.native else "no kernels of slimvec's"]
    if speed.gflops is not None:
        parts.append(f"torch {speed.gflops:,.1f} GFLOP/s")
    if speed.times_slower is not None and speed.times_slower > 1:
        parts.append(f"{speed.times_slower:,.1f} times slower than float32")
    return ", ".join(parts)
