"""`slimvec triplets`: training triplets of word order, made from templates."""

from pathlib import Path

from slimvec.cli.terminal import Result, Terminal
from slimvec.cli.values import among

KEYS = {
    "output": "path of the records",
    "num_records": "records written",
    "languages": "languages of the records",
    "kinds": "what is exchanged in them",
}


def triplets(
    terminal: Terminal,
    *,
    output: Path,
    num: int = 11_000,
    language: list[str] | None = None,
    kind: list[str] | None = None,
    task: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> Result:
    """Make training triplets against blindness to word order.

    Each record is a sentence, a paraphrase of it, and a contrast: its words in another order, or denied. The templates
    are not those of the word order probe: no template, name, place or number is in both.

    Options:
        output -o: Where to write: .jsonl or .jsonl.gz.
        num -n (from 1): Records wanted.
        language CODE: en, de, fr or es; default en.
        kind KIND: role swap, direction, before and after, cause, comparison, number swap or negation; default all.
        task T: Task name or instruction of the records; default that of paraphrases.
        seed (from 0): Random seed for words, order and sides.
    """
    from slimvec.data.templates import KINDS
    from slimvec.data.triplets import LANGUAGES, TASK, make_triplets
    from slimvec.data.writers import check_records_output, record_writer

    check_records_output(output, force=force)
    terminal.reserve(output, force=force)
    languages = among(language or LANGUAGES[:1], LANGUAGES, what="no templates in")
    kinds = among(kind, KINDS, what="kind")
    records = make_triplets(num, seed=seed, languages=languages, kinds=kinds, task=task or TASK)
    with record_writer(output, force=force) as write:
        for record in records:
            write(record)
    terminal.print(f"{output}: {len(records):,} records in {', '.join(languages)}")
    return {"output": str(output), "num_records": len(records), "languages": languages, "kinds": kinds}
