"""Makes the training data of recipes/slimvec-en.yaml: English texts and pairs, without any that evaluation data has.

    python recipes/slimvec_en_data.py DATA OUTPUT [--scale X]

DATA is the folder of the shared data sets, OUTPUT gets what `model_data` says.
Documentation of the Python packages installed here is part of it, so OUTPUT differs a little from machine to machine;
the model's data card has the digests of what it was trained on.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model_data import Row, arguments, pairs_in, rows_of, side_by_side, some, write_training_data

from slimvec.data.pydocs import build_doc_corpus

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
MORE_TEXTS: Mapping[str, int] = {
    "wordnet": 70_000, "debian_pairs": 16_000, "tldr": 8_000, "qa_passages": 12_000, "code_docstring": 8_000,
}  # fmt: skip
"""How many pairs of a source give their texts to distil; those that are pairs too are among them."""
CLASSES: Mapping[str, int] = {"banking77": 11_000, "clinc150": 16_000, "debian_sections": 800}
"""How many texts of each classification set."""
LABELLED: Mapping[str, str] = {"banking77": "label", "clinc150": "label"}
"""Sets of which the labels of the training part are used, and the field that has them."""
ALIKE = {"stsb_multi": 6000}
"""Pairs with a grade of likeness, which is used."""
AGAINST = (
    "code_retrieval", "cacm", "cranfield", "liveqa_med", "medquad_retrieval", "qed_nq_retrieval", "debian_retrieval",
    "tldr_retrieval", "scitldr_retrieval", "pubmedqa_retrieval", "xquad", "sts12_16/test.jsonl.gz",
    "stsb_multi/test.jsonl.gz", "sick/all.jsonl.gz", "banking77/test.jsonl.gz", "clinc150/test.jsonl.gz",
    "debian_sections/test.jsonl.gz", "sib200/test.jsonl.gz",
)  # fmt: skip


def main(data: Path, output: Path, scale: float) -> None:
    """Write all files."""
    pairs = [
        row for name, (count, task) in PAIRS.items() for row in some(pairs_of(data, name), count, scale, name, task)
    ]
    alike = [row for name, count in MORE_TEXTS.items() for row in some(pairs_of(data, name), count, scale, name)]
    alike += [row for name, count in ALIKE.items() for row in some(alike_of(data, name), count, scale, name)]
    alike += [row for name, count in CLASSES.items() for row in side_by_side(texts_of(data, name), count, scale, name)]
    supervised: dict[str, list[dict[str, Any]]] = {
        name: [{"text": row["text"], "label": row[field]} for row in training_rows(data, name)]
        for name, field in LABELLED.items()
    }
    supervised |= {name: list(training_rows(data, name)) for name in ALIKE}
    write_training_data(output, pairs, alike, [data / name for name in AGAINST], supervised, max_pieces=4)


def pairs_of(data: Path, name: str) -> Iterator[Row]:
    """Give the English pairs of a source."""
    if name == "python-docs":
        for record in build_doc_corpus().train:
            yield {"query": record.query, "positive": record.positives[0]}
        return
    yield from (row for language, row in pairs_in(data, name) if language == "en")


def alike_of(data: Path, name: str) -> Iterator[Row]:
    """Give the English pairs of a similarity set, whatever their grade."""
    for row in training_rows(data, name):
        yield {"query": row["s1"], "positive": row["s2"]}


def texts_of(data: Path, name: str) -> list[str]:
    """Give the texts of a classification set."""
    return [row["text"] for row in training_rows(data, name)]


def training_rows(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Read the English rows of a set's training part."""
    return (row for row in rows_of(data / name / "train.jsonl.gz") if row.get("lang", "en") == "en")


if __name__ == "__main__":
    given = arguments(__doc__)
    main(given.data, given.output, given.scale)
