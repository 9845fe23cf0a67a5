"""A user's own file: what a tokenizer reads of it, by the script each text is written in."""

from pathlib import Path

import numpy as np

from slimvec.data.texts import read_texts
from slimvec.probes.coverage.parts import Part
from slimvec.probes.coverage.sentences_result import READ
from slimvec.probes.figures import Figure, lay_out
from slimvec.probes.protocol import read_methods
from slimvec.statistics.intervals import bootstrap_intervals
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import main_script

FIGURES = (Figure("file: coverage", "share", True), Figure("file: pieces of characters", "share", False))
_SHOWN = 60
_WORST = 10


def file_part(meter: CoverageMeter, path: Path, *, seed: int) -> Part:
    """Measure the texts of a file: coverage and pieces, over all texts and by script, with intervals over the texts.

    Args:
        meter: Meter of the tokenizer.
        path: A file that `read_texts` reads.
        seed: Random seed for the bootstrap.

    Raises:
        InputError: the file cannot be read, or holds no texts.
    """
    texts = list(read_texts(path))
    found, scripts = meter.measure(texts), [main_script(text) for text in texts]
    metrics, rows = [], []
    for script in ("all texts", *dict.fromkeys(script or "no script" for script in scripts)):
        own = [one for one, its in zip(found, scripts, strict=True) if script in ("all texts", its or "no script")]
        values = np.array([(one.share, one.num_pieces / max(1, one.num_tokens)) for one in own])
        intervals = bootstrap_intervals(values, seed=seed)
        metrics += [fig.metric(one, len(own), script) for fig, one in zip(FIGURES, intervals, strict=True)]
        tokens, characters = (sum(getattr(one, name) for one in own) for name in ("num_tokens", "num_characters"))
        unknown = sum(one.num_unknown for one in own) / max(1, tokens)
        rows.append((script, len(own), intervals[0].value, unknown, tokens / max(1, characters)))
    worst = sorted(range(len(texts)), key=lambda number: (found[number].share, number))[:_WORST]
    return Part(
        read_methods()["tokenizer/file"].definition,
        f"Of {path.name}, {metrics[0].value:.1%} of the characters of a text come back; "
        f"{sum(one.share < READ for one in found):,} of {len(found):,} texts lose more than {1 - READ:.0%}.",
        metrics,
        [
            lay_out(
                "The file by script",
                "script | texts | coverage | unknown tokens | tokens a character",
                "{0} | {1:,} | {2:.1%} | {3:.1%} | {4:.2f}",
                rows,
            ),
            lay_out(
                "Its texts that are read worst",
                "number | script | coverage | text",
                "{0:,} | {1} | {2:.1%} | {3}",
                [(n + 1, scripts[n] or "none", found[n].share, texts[n][:_SHOWN]) for n in worst],
            ),
        ],
    )
