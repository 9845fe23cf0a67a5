"""What the scripts that make a model's training data share: drawing by source, cleaning, writing.

A script gives its rows and the sets to clean against, `write_training_data` does the rest. OUTPUT gets `pairs.jsonl.gz`
(query and positive, by source), `alike.jsonl.gz` (two texts side by side that need not answer each other),
`short_pairs.jsonl.gz` (the pairs without their tasks, long texts cut at a word) and `texts.jsonl.gz` (all texts of
both, each once, cut likewise, or in pieces), with the reports of the cleaning, and their counts alone in
`cleaning.json`. Rows that have a grade or a label are written as they stand to `NAME/train.jsonl.gz`, as far as the
cleaning left their texts in `alike`.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slimvec.data.tables import iter_rows
from slimvec.data.writers import write_rows

Row = dict[str, str]
SEED = 19
MAX_CHARACTERS = 240
"""Longest text that is distilled: teacher and student read the same, and more texts say more than longer ones."""
MAX_PAIR_CHARACTERS = 300
"""Longest text of the short pairs, as much as a training of an hour reads."""


def write_training_data(
    output: Path,
    pairs: Sequence[Row],
    alike: Sequence[Row],
    against: Sequence[Path],
    supervised: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    max_pieces: int = 1,
) -> None:
    """Clean rows of `query`, `positive`, `source` (and `task`) against evaluation data, and write all files.

    Rows of `supervised`, by name, have their texts in `alike` too: as `text`, or as `s1` and `s2`. Of a long text the
    first `max_pieces` pieces are texts to distil.
    """
    output.mkdir(parents=True, exist_ok=True)
    cleaned = [clean(output, name, rows, against) for name, rows in (("pairs", pairs), ("alike", alike))]
    texts = dict.fromkeys(piece for path in cleaned for text in texts_in(path) for piece in pieces(text, max_pieces))
    write_rows(output / "texts.jsonl.gz", [{"text": text} for text in texts])
    write_rows(output / "short_pairs.jsonl.gz", [short_pair(row) for row in rows_of(cleaned[0])])
    kept = set(texts_in(cleaned[1]))
    for name, rows in supervised.items():
        (output / name).mkdir(exist_ok=True)
        left = [row for row in rows if all(row[key] in kept for key in ("text", "s1", "s2") if key in row)]
        write_rows(output / name / "train.jsonl.gz", left)
        print(f"{output / name}: {len(left):,} of {len(rows):,} rows")
    counts = {path.name: without_examples(json.loads(report_of(path).read_text())) for path in cleaned}
    (output / "cleaning.json").write_text(json.dumps(counts, indent=1) + "\n")
    print(f"{output / 'texts.jsonl.gz'}: {len(texts):,} texts")


def some(rows: Iterable[Row], count: int, scale: float, name: str, task: str | None = None) -> list[Row]:
    """Take some rows of a source and name it, and its task."""
    found = list(rows)
    chosen = random.Random(f"{SEED}/{name}").sample(found, min(len(found), int(count * scale)))
    return [{**row, "source": name, **({"task": task} if task else {})} for row in chosen]


def side_by_side(texts: Sequence[str], count: int, scale: float, name: str) -> Iterator[Row]:
    """Put texts into rows two by two, which is the form that is cleaned."""
    chosen = random.Random(f"{SEED}/{name}").sample(texts, min(len(texts), int(count * scale)) // 2 * 2)
    for first, second in zip(chosen[::2], chosen[1::2], strict=True):
        yield {"query": first, "positive": second, "source": name}


def clean(output: Path, name: str, rows: Sequence[Row], against: Sequence[Path]) -> Path:
    """Write rows, and have `slimvec clean` take out what evaluation data has too."""
    raw, cleaned = output / f"{name}-all.jsonl.gz", output / f"{name}.jsonl.gz"
    write_rows(raw, rows)
    options = [part for path in against for part in ("--against", str(path))]
    command = [sys.executable, "-m", "slimvec", "clean", str(raw), "--output", str(cleaned), "--force", *options]
    subprocess.run(command, check=True)
    raw.unlink()
    return cleaned


def report_of(path: Path) -> Path:
    """Where the report of a cleaning lies."""
    return path.with_name(f"{path.name}.report.json")


def without_examples(content: Any) -> Any:
    """Leave the texts of others out of a report."""
    if isinstance(content, dict):
        return {key: without_examples(value) for key, value in content.items() if key != "examples"}
    return [without_examples(value) for value in content] if isinstance(content, list) else content


def shortened(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Cut a text where a word ends."""
    return text if len(text) <= limit else text[: limit + 1].rsplit(maxsplit=1)[0]


def pieces(text: str, number: int) -> Iterator[str]:
    """Give the first pieces of a text, parted where words end."""
    rest = text.strip()
    for _ in range(number):
        if rest:
            piece = shortened(rest)
            yield piece
            rest = rest[len(piece) :].lstrip()


def short_pair(row: Row) -> dict[str, object]:
    """Cut the texts of a pair, and leave its task out: the model has no place for one."""
    query, *positives = (shortened(text, MAX_PAIR_CHARACTERS) for text in (row["query"], *row["positives"]))
    return {"query": query, "positives": positives, "source": row["source"]}


def texts_in(path: Path) -> Iterator[str]:
    """Give the texts of records, one by one."""
    for row in rows_of(path):
        yield row["query"]
        found = row["positive"] if "positive" in row else row["positives"]
        yield from [found] if isinstance(found, str) else found


def pairs_in(data: Path, name: str) -> Iterator[tuple[str, Row]]:
    """Give the pairs of a source, each with its language; without those that a scored set was made of."""
    passages = (
        {row["id"]: row["text"] for row in rows_of(data / name / "passages.jsonl.gz")} if name == "qa_passages" else {}
    )
    for row in rows_of(data / name / "train.jsonl.gz"):
        if not row.get("in_liveqa"):
            positive = passages.get(row.get("positive_id", ""), "") or row["positive"]
            yield row.get("lang", "en"), {"query": row["query"], "positive": positive}


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines."""
    return (dict(row.values) for row in iter_rows(path))


def arguments(about: str) -> argparse.Namespace:
    """Parse DATA, OUTPUT and `--scale`, which every script takes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the counts, for trials")
    return parser.parse_args()
