"""Makes the training data of recipes/slimvec-multi.yaml: texts and pairs of many languages, cleaned of evaluation data.

    python recipes/slimvec_multi_data.py DATA OUTPUT [--scale X]

DATA is the folder of the shared data sets, OUTPUT gets what `model_data` says. Sentences of the similarity set come in
twelve languages with equal numbers: two languages of one sentence are a pair of translations, as are manuals in the
language of the original and another.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from model_data import SEED, Row, arguments, pairs_in, rows_of, side_by_side, some, write_training_data

PAIRS: Mapping[str, int] = {
    "stsb_multi": 6000,
    "pydocs_translation": 3500,
    "libreoffice_help": 6000,
    "tldr": 4000,
    "omw": 5000,
    "debian_pairs": 4000,
    "qa_passages": 9000,
    "nli_triplets": 2000,
    "medquad": 2500,
    "code_docstring": 2000,
    "wordnet": 1000,
    "iso_names": 800,
}
"""How many pairs of each source are taken."""
EVEN = ("libreoffice_help", "tldr", "debian_pairs", "qa_passages", "iso_names")
"""Sources of which languages are drawn alike, as far as each has rows: else one language would be most of them."""
ALIKE: Mapping[str, int] = {"jsts": 1000, "stsb_multi": 4000}
"""Pairs of sentences whose grade is not used."""
CLASSES: Mapping[str, int] = {"banking77": 1000, "clinc150": 1000}
AGAINST = (
    "xquad", "jsquad_retrieval", "arcd_retrieval", "afriqa_retrieval", "code_retrieval", "cacm", "cranfield",
    "liveqa_med", "medquad_retrieval", "qed_nq_retrieval", "debian_retrieval", "tldr_retrieval", "scitldr_retrieval",
    "pubmedqa_retrieval", "stsb_multi/test.jsonl.gz", "jsts/valid.jsonl.gz", "jsts/test.jsonl.gz",
    "sts12_16/test.jsonl.gz", "sick/all.jsonl.gz", "sib200/test.jsonl.gz", "sib200/dev.jsonl.gz",
    "sib200/train.jsonl.gz", "banking77/test.jsonl.gz", "clinc150/test.jsonl.gz", "debian_sections/test.jsonl.gz",
)  # fmt: skip


def main(data: Path, output: Path, scale: float) -> None:
    """Write all files."""
    output.mkdir(parents=True, exist_ok=True)
    pairs = [row for name, count in PAIRS.items() for row in some(drawn_from(data, name, count), count, scale, name)]
    alike = [row for name, count in ALIKE.items() for row in some(alike_of(data, name), count, scale, name)]
    for name, count in CLASSES.items():
        texts = [row["text"] for row in rows_of(data / name / "train.jsonl.gz")]
        alike += side_by_side(texts, count, scale, name)
    bitext = output / "tatoeba.txt"  # its columns are none that evaluation texts are read from
    sentences = (row[side] for row in rows_of(data / "tatoeba_bitext" / "test.jsonl.gz") for side in ("src", "eng"))
    bitext.write_text("".join(f"{sentence}\n" for sentence in dict.fromkeys(sentences)), encoding="utf-8")
    write_training_data(output, pairs, alike, [*(data / name for name in AGAINST), bitext], {})


def drawn_from(data: Path, name: str, count: int) -> list[Row]:
    """Give pairs of a source to draw from: all, or where it is in `EVEN` as many of each language as there are."""
    if name == "stsb_multi":
        return list(translated_sentences(data / name / "train.jsonl.gz"))
    languages = defaultdict[str, list[Row]](list)
    for language, row in pairs_in(data, name):
        languages[language].append(row)
    if name not in EVEN:
        return [row for rows in languages.values() for row in rows]
    chosen: list[Row] = []
    for place, (_, rows) in enumerate(sorted(languages.items(), key=lambda entry: (len(entry[1]), entry[0]))):
        share = (count - len(chosen)) // (len(languages) - place)
        chosen += random.Random(f"{SEED}/{name}/{place}").sample(rows, min(len(rows), share))
    return chosen


def translated_sentences(path: Path) -> Iterator[Row]:
    """Give each first sentence in two languages, drawn anew for each, one of them English half of the time."""
    sentences = defaultdict[int, dict[str, str]](dict)
    for row in rows_of(path):
        sentences[row["idx"]][row["lang"]] = row["s1"]
    for number, versions in sorted(sentences.items()):
        generator = random.Random(f"{SEED}/{number}")
        for _ in range(2):
            first, second = generator.sample(sorted(versions), 2)
            if generator.random() < 0.5 and "en" in versions and second != "en":
                first = "en"
            yield {"query": versions[first], "positive": versions[second]}


def alike_of(data: Path, name: str) -> Iterator[Row]:
    """Give two sentences each of a similarity set, in any language, whatever their grade."""
    for row in rows_of(data / name / "train.jsonl.gz"):
        yield {"query": row["s1"], "positive": row["s2"]}


if __name__ == "__main__":
    given = arguments(__doc__)
    main(given.data, given.output, given.scale)
