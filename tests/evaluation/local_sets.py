"""Small local sets of every kind, for tests of tasks."""

import json

from slimvec.evaluation.suite import Suite, TaskEntry

NOUNS = ("file", "socket", "tree", "number", "string", "clock", "folder", "thread", "lock", "queue", "error", "module")
VERBS = ("open", "close", "read", "write")


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_sets(root):
    """Write a set of every kind below a folder."""
    texts = [f"{verb} the {noun}" for noun in NOUNS for verb in VERBS]
    both = [(language, number, text) for language in ("aa", "bb") for number, text in enumerate(texts)]
    write_rows(
        root / "find" / "corpus.jsonl",
        [{"id": f"{lang}{n}", "title": lang, "text": f"how to {text}", "lang": lang} for lang, n, text in both],
    )
    write_rows(
        root / "find" / "queries.jsonl",
        [{"id": f"{lang}-{n}", "text": text[:12], "lang": lang, "align": f"q{n}"} for lang, n, text in both[::2]],
    )
    write_rows(
        root / "find" / "qrels.jsonl",
        [{"query_id": f"{lang}-{n}", "doc_id": f"{lang}{n}", "score": 1} for lang, n, _ in both[::2]]
        + [{"query_id": f"{lang}-{n}", "doc_id": f"{lang}{n + 1}", "score": 0} for lang, n, _ in both[::2]],
    )
    pairs = [(text, texts[(number * 7) % 48], number) for number, text in enumerate(texts)]
    write_rows(
        root / "alike" / "test.jsonl",
        [
            {"s1": a, "s2": b, "score": number % 6, "label": number % 2, "lang": "ab"[number % 2]}
            for a, b, number in pairs
        ],
    )
    kinds = [{"text": text, "label": text.split()[0], "lang": "a"} for text in texts]
    write_rows(root / "kinds" / "test.jsonl", kinds[:24])
    write_rows(root / "kinds" / "train.jsonl", kinds[24:])
    write_rows(
        root / "both" / "test.jsonl",
        [{"id": n, "text": f"{text} {lang}", "lang": lang} for lang, n, text in both],
    )
    return root


def suite_of_all_kinds():
    jsonl = {"file": "test.jsonl"}
    return Suite(
        name="all",
        tasks=(
            TaskEntry(name="find", kind="retrieval"),
            TaskEntry(name="find-by-language", kind="retrieval", folder="find", by="lang", merge_identical=True),
            TaskEntry(
                name="find-across", kind="retrieval", folder="find", by="lang", across=("aa-bb", "bb-aa"), limit=15
            ),
            TaskEntry(name="rerank", kind="reranking", folder="find"),
            TaskEntry(name="rerank-bm25", kind="reranking", folder="find", candidates="bm25"),
            TaskEntry(name="sts", kind="sts", folder="alike", by="lang", **jsonl),
            TaskEntry(name="pairs", kind="pair_classification", folder="alike", **jsonl),
            TaskEntry(name="kinds", kind="classification", train_file="train.jsonl", **jsonl),
            TaskEntry(name="clusters", kind="clustering", folder="kinds", limit=20, **jsonl),
            TaskEntry(name="both", kind="bitext", by="lang", across=("aa-bb",), id="id", **jsonl),
        ),
    )
