"""`slimvec adjust`: remedies for position, length and width that need no training."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slimvec.cli.options import Amount, Dtype
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.cli.values import numbers
from slimvec.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from slimvec.engine.embedder import Embedder
    from slimvec.model.opening import OpenSettings
    from slimvec.model.rope_scaling import RopeScaling
    from slimvec.probes.position.fitting import Fit
    from slimvec.probes.protocol import ProbeConfig

KEYS = {
    "output": "the model's folder; null without --output",
    "beta": "beta of the pooling that was chosen; null without --beta",
    "betas": "by beta tried: weight of a sentence in the first third over one in the last, with its interval",
    "recency": "exponent that was found, for Embedder.load(recency=...); null without --recency",
    "recencies": "by exponent tried, as betas",
    "rope": "scaling that was chosen; null without --rope, and where none finds needles better",
    "sweep": "by scaling tried: score (nDCG@10 of needles), gain over the model as it is with its interval, by_length",
    "axes": "by width: error of cosines (root mean square) before and after, on texts left out; null without --axes",
}


def adjust(
    terminal: Terminal,
    *,
    model: str,
    output: Path | None = None,
    beta: str | None = None,
    recency: bool = False,
    rope: str | None = None,
    lengths: str | None = None,
    max_tokens: int | None = None,
    axes: Path | None = None,
    dims: str | None = None,
    data: Path | None = None,
    amount: Amount = "full",
    seed: int = 0,
    dtype: Dtype = "auto",
    revision: str | None = None,
    force: bool = False,
) -> Result:
    """Reduce position bias, lengthen the context and turn the vectors of a model, without training.

    --beta weighs the states of late tokens more until the sentences of a document weigh alike; --rope lets a model take
    longer texts; both are kept in the files that are written, where sentence-transformers reads them too (beta needs
    slimvec there). --recency calibrates attention and is given to Embedder.load. docs/probes.md has the definitions.
    --axes turns the vectors so that their first numbers alone keep the most of them; cosines of whole ones stay.

    Positional:
        model MODEL: As for `embed --model`.

    Options:
        output -o: Write the adjusted model into this folder; default only measure.
        beta fit|B: Pool by this beta, or by the one that `fit` finds: 0 is the mean.
        recency: Find the attention calibration; it is given at loading, never saved.
        rope sweep|KIND:F: Stretch rotary positions: theta, ntk, linear or yarn by a factor, or the best that `sweep`
            finds.
        lengths N,N: Tokens of the documents of a sweep. Default: half, once and twice what the model has positions for.
        max_tokens N (from 1): Longest text of the model that is written.
        axes FILE: Texts to turn the vectors by: some thousands of the kind that the model is for.
        dims N,N: Widths that --axes is for; default those that the model was trained for, else halves of its width.
        data -d FOLDER: A folder with longdocs; default made texts.
        amount: How much is measured.
        seed N (from 0): Random seed for everything drawn.
    """
    _check(beta, recency, rope, lengths, axes, dims, output)
    terminal.reserve(output, force=force)
    given = None if beta in (None, "fit") else _parse_beta(beta)
    from slimvec.engine.embedder import Embedder
    from slimvec.model.rope_scaling import RopeScaling
    from slimvec.probes.position.fitting import beta_pooling, fit_beta, fit_recency
    from slimvec.probes.protocol import ProbeConfig

    settings: OpenSettings = {"revision": revision}
    if max_tokens is not None:
        settings["max_tokens"] = max_tokens
    config = ProbeConfig(data=data, seed=seed, amount=amount, source=model)
    result: Result = dict.fromkeys(KEYS)
    if rope == "sweep":
        asked = _parse_lengths(lengths, model, revision)
        best, result["sweep"] = _sweep(terminal, model, config, asked, dtype=dtype, revision=revision)
    else:
        best = None if rope is None else RopeScaling.parse(rope)
    if best is not None:
        settings["rope"], result["rope"] = best, str(best)
    if beta is not None:
        embedder = Embedder.load(model, dtype=dtype, **settings)
        if given is None:
            given, result["betas"] = _fitted(terminal, "beta", config, partial(fit_beta, embedder))
        settings["pooling"], result["beta"] = beta_pooling(embedder, given), given
    if recency:
        fit = partial(fit_recency, model, dtype=dtype, **settings)
        result["recency"], result["recencies"] = _fitted(terminal, "recency", config, fit)
    rotation = None
    if axes is not None:
        embedder = Embedder.load(model, dtype=dtype, **settings)
        rotation, result["axes"] = _turned(terminal, embedder, axes, dims, seed)
    if output is not None:
        with terminal.task("writing the model"):
            if rotation is None:
                Embedder.load(model, dtype=dtype, **settings).save(output, force=force)
            else:
                from slimvec.model.axes import save_turned

                save_turned(model, rotation, output, force=force, **settings)
        terminal.print(f"{output}: {_chosen(result)}")
    return {**result, "output": output}


def _turned(
    terminal: Terminal, embedder: "Embedder", path: Path, dims: str | None, seed: int
) -> "tuple[Tensor, list[Result]]":
    """Find how the vectors of a file's texts are turned best, and say what that does to texts left out."""
    import torch

    from slimvec.data.texts import read_texts
    from slimvec.model.axes import axis_widths, check_texts, cosine_errors, fit_axes, sample

    texts = sample(read_texts(path), seed=seed)
    check_texts(len(texts))
    asked = numbers(dims, "--dims", int, expected="whole numbers with commas between them") if dims else ()
    widths = axis_widths(embedder.spec, embedder.dims, asked)
    with terminal.task("embedding", total=len(texts), unit="texts") as task:
        vectors = torch.from_numpy(embedder.embed(texts, on_progress=task.advance).vectors)
    left_out = torch.arange(len(texts)) % 5 == 4
    with terminal.task("turning the vectors"):
        rotation = fit_axes(vectors[~left_out], widths, seed=seed)
    as_it_is = torch.eye(len(rotation))
    errors = [cosine_errors(vectors[left_out], by, widths).sqrt().tolist() for by in (as_it_is, rotation)]
    rows: list[Result] = []
    for width, before, after in zip(widths, *errors, strict=True):
        terminal.print(f"{width} dims: cosines are off by {after:.3f}, before {before:.3f}")
        rows.append({"dims": width, "before": before, "after": after})
    return rotation, rows


def _parse_lengths(lengths: str | None, model: str, revision: str | None) -> list[int]:
    """Read lengths, or choose them by what the model has positions for.

    Raises:
        InputError: they are none.
    """
    if lengths is None:
        from slimvec.model.architectures import longest_text
        from slimvec.model.opening import open_model

        longest = longest_text(open_model(model, revision=revision).config)
        return [longest // 2, longest, 2 * longest]
    return numbers(lengths, "--lengths", int, expected="whole numbers with commas between them")


def _check(
    beta: str | None,
    recency: bool,
    rope: str | None,
    lengths: str | None,
    axes: Path | None,
    dims: str | None,
    output: Path | None,
) -> None:
    """See that the options go together.

    Raises:
        InputError: they do not.
    """
    if dims is not None and axes is None:
        raise InputError("--dims without --axes", expected="both")
    if beta is None and rope is None and axes is None and not recency:
        raise InputError("nothing to adjust", expected="--beta, --rope, --axes or --recency")
    if output is not None and beta is None and rope is None and axes is None:
        raise InputError("--output with --recency alone, which no file keeps", expected="--beta, --rope or --axes")
    if output is None and not recency and axes is None and beta != "fit" and rope != "sweep":
        raise InputError(
            "nothing to find, and no --output to write to",
            expected="--output, --beta fit, --rope sweep, --axes or --recency",
        )
    if lengths is not None and rope != "sweep":
        raise InputError("--lengths without --rope sweep", expected="both")


def _sweep(
    terminal: Terminal, model: str, config: "ProbeConfig", lengths: Sequence[int], *, dtype: str, revision: str | None
) -> "tuple[RopeScaling | None, list[Result]]":
    """Try all scalings, show them, and give the best with what was tried."""
    from slimvec.probes.length.rope import sweep_rope

    with terminal.task("sweeping rope scalings", unit="texts") as task:
        config = replace(config, on_progress=task.advance)
        found = sweep_rope(model, config, lengths=lengths, dtype=dtype, revision=revision)
    tried: list[Result] = []
    for one in found.scores:
        name = None if one.scaling is None else str(one.scaling)
        terminal.print(f"rope {name or 'as it is'}: nDCG@10 of needles {one.score.value:.3f}, {one.gain:+.3f}")
        by_length = dict(zip(map(str, found.lengths), one.by_length, strict=True))
        scores = {"score": one.score.value, "gain": one.gain.value, **named(one.gain, ("low", "high"))}
        tried.append({"rope": name, **scores, "by_length": by_length})
    return found.best.scaling, tried


def _parse_beta(beta: str | None) -> float:
    """Read a beta.

    Raises:
        InputError: it is none.
    """
    try:
        value = float(beta or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InputError(f"--beta {beta}", expected="fit, or a number from 0")
    return value


def _fitted(
    terminal: Terminal, name: str, config: "ProbeConfig", fit: "Callable[[ProbeConfig], Fit]"
) -> tuple[float, list[Result]]:
    """Find the value under which a document's sentences weigh alike, show what was tried, and give both."""
    with terminal.task(f"fitting {name}", unit="texts") as task:
        found = fit(replace(config, on_progress=task.advance))
    for tried in found.candidates:
        mark = "  <- flattest" if tried is found.best else ""
        terminal.print(f"{name} {tried.value:g}: first third over last {tried.ratio:.2f}{mark}")
    return found.best.value, [
        {"value": tried.value, "ratio": tried.ratio.value, **named(tried.ratio, ("low", "high"))}
        for tried in found.candidates
    ]


def _chosen(result: Result) -> str:
    """Say what was changed."""
    parts = [] if result["beta"] is None else [f"beta {result['beta']:g}"]
    parts += [f"rope {result['rope']}"] if result["rope"] is not None else []
    parts += [f"turned for {', '.join(str(row['dims']) for row in result['axes'])} dims"] if result["axes"] else []
    return ", ".join(parts) or "as it was: no scaling finds needles better"
