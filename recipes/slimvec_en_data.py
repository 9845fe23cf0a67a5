"""Makes the training data of recipes/slimvec-en.yaml: English texts and pairs, without any that evaluation data has.

    python recipes/slimvec_en_data.py DATA OUTPUT [--scale X]

DATA is the folder of the shared data sets. OUTPUT gets `pairs.jsonl.gz` (query and positive, by source),
`alike.jsonl.gz` (two texts side by side that need not answer each other), `short_pairs.jsonl.gz` (the pairs without
their tasks, long texts cut at a word) and `texts.jsonl.gz` (all texts of both, each once, cut likewise), with the
reports of the cleaning, and their counts alone in `cleaning.json`.
Documentation of the Python packages installed here is part of it, so OUTPUT differs a little from machine to machine;
the model's data card has the digests of what it was trained on.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slimvec.data.pydocs import build_doc_corpus
from slimvec.data.tables import iter_rows
from slimvec.data.writers import write_rows

Row = dict[str, str]
SEED = 19
PAIRS: Mapping[str, tuple[int, str]] = {
    "code_docstring": (6000, "Given what a function does, find its code"),
    "medquad": (6000, "Given a medical question, find the passage that answers it"),
    "qa_passages": (4000, "Given a question, find the passage that answers it"),
    "scitldr": (2000, "Given a one-sentence summary, find the abstract of the paper"),
    "debian_pairs": (3500, "Given the title of a software package, find its description"),
    "tldr": (2000, "Given what a command does, find the command"),
    "wordnet": (4000, "Given a word, find its definition"),
    "wikisplit": (2500, "Given a sentence, find one that says the same"),
    "python-docs": (6000, "Given a summary, find the documentation it is from"),
}
"""How many pairs of each source are taken, and what is asked of them."""
CLASSES: Mapping[str, int] = {"banking77": 2500, "clinc150": 2500, "debian_sections": 800}
"""How many texts of each classification set; their labels are not used."""
ALIKE = {"stsb_multi": 3500}
MAX_CHARACTERS = 240
"""Longest text that is distilled: teacher and student read the same, and more texts say more than longer ones."""
MAX_PAIR_CHARACTERS = 300
"""Longest text of the short pairs, as much as a training of an hour reads."""
AGAINST = (
    "code_retrieval", "cacm", "cranfield", "liveqa_med", "medquad_retrieval", "qed_nq_retrieval", "debian_retrieval",
    "tldr_retrieval", "scitldr_retrieval", "pubmedqa_retrieval", "xquad", "sts12_16/test.jsonl.gz",
    "stsb_multi/test.jsonl.gz", "sick/all.jsonl.gz", "banking77/test.jsonl.gz", "clinc150/test.jsonl.gz",
    "debian_sections/test.jsonl.gz", "sib200/test.jsonl.gz",
)  # fmt: skip


def main(data: Path, output: Path, scale: float) -> None:
    """Write all files."""
    output.mkdir(parents=True, exist_ok=True)
    pairs = [
        row for name, (count, task) in PAIRS.items() for row in some(pairs_of(data, name), count, scale, name, task)
    ]
    alike = [row for name, count in ALIKE.items() for row in some(alike_of(data, name), count, scale, name)]
    alike += [row for name, count in CLASSES.items() for row in side_by_side(texts_of(data, name), count, scale, name)]
    cleaned = [clean(data, output, name, rows) for name, rows in (("pairs", pairs), ("alike", alike))]
    texts = dict.fromkeys(shortened(text) for path in cleaned for text in texts_in(path))
    write_rows(output / "texts.jsonl.gz", [{"text": text} for text in texts])
    write_rows(output / "short_pairs.jsonl.gz", [short_pair(row) for row in rows_of(cleaned[0])])
    counts = {path.name: without_examples(json.loads(report_of(path).read_text())) for path in cleaned}
    (output / "cleaning.json").write_text(json.dumps(counts, indent=1) + "\n")
    print(f"{output / 'texts.jsonl.gz'}: {len(texts):,} texts")


def pairs_of(data: Path, name: str) -> Iterator[Row]:
    """Give the English pairs of a source."""
    if name == "python-docs":
        for record in build_doc_corpus().train:
            yield {"query": record.query, "positive": record.positives[0]}
        return
    passages = (
        {row["id"]: row["text"] for row in rows_of(data / name / "passages.jsonl.gz")} if name == "qa_passages" else {}
    )
    for row in rows_of(data / name / "train.jsonl.gz"):
        if row.get("lang", "en") == "en" and not row.get("in_liveqa"):
            yield {"query": row["query"], "positive": passages.get(row.get("positive_id", ""), "") or row["positive"]}


def alike_of(data: Path, name: str) -> Iterator[Row]:
    """Give the English pairs of a similarity set, whatever their grade."""
    for row in rows_of(data / name / "train.jsonl.gz"):
        if row["lang"] == "en":
            yield {"query": row["s1"], "positive": row["s2"]}


def texts_of(data: Path, name: str) -> list[str]:
    """Give the texts of a classification set."""
    return [row["text"] for row in rows_of(data / name / "train.jsonl.gz") if row.get("lang", "en") == "en"]


def side_by_side(texts: Sequence[str], count: int, scale: float, name: str) -> Iterator[Row]:
    """Put texts into rows two by two, which is the form that is cleaned."""
    chosen = random.Random(f"{SEED}/{name}").sample(texts, min(len(texts), int(count * scale)) // 2 * 2)
    for first, second in zip(chosen[::2], chosen[1::2], strict=True):
        yield {"query": first, "positive": second, "source": name}


def some(rows: Iterator[Row], count: int, scale: float, name: str, task: str | None = None) -> list[Row]:
    """Take some rows of a source and name it, and its task."""
    found = list(rows)
    chosen = random.Random(f"{SEED}/{name}").sample(found, min(len(found), int(count * scale)))
    return [{**row, "source": name, **({"task": task} if task else {})} for row in chosen]


def clean(data: Path, output: Path, name: str, rows: Sequence[Row]) -> Path:
    """Write rows, and have `slimvec clean` take out what evaluation data has too."""
    raw, cleaned = output / f"{name}-all.jsonl.gz", output / f"{name}.jsonl.gz"
    write_rows(raw, rows)
    against = [part for path in AGAINST for part in ("--against", str(data / path))]
    command = [sys.executable, "-m", "slimvec", "clean", str(raw), "--output", str(cleaned), "--force", *against]
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


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines."""
    return (dict(row.values) for row in iter_rows(path))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the counts, for trials")
    given = parser.parse_args()
    main(given.data, given.output, given.scale)
