"""Judges of candidates side by side: `python -m benchmarks.reranking --data FOLDER --work FOLDER`.

Dense vectors, BM25, the likelihood of the query given the document, and generative retrieval, each alone and in fused
pairs. Candidates are the best of dense and of BM25 in turn, so that neither is favoured. Weights of pairs are fitted on
the other sets. Scores of a set are kept in the work folder, and a run that was stopped goes on.

Results stand by set, over all, and over the half of each set's queries that share the most words with a document they
are about and the half that share the fewest: a likelihood that only copied words would be BM25 in disguise.
"""

import argparse
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from benchmarks.results import Frozen, write_json
from slimvec.data.retrieval import RetrievalSet
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.evaluation.results import package_versions
from slimvec.ranking.bm25 import lexical_words, score_lexically
from slimvec.ranking.fusion import Judged, fit_weight, fused_ndcg
from slimvec.search.generative import GenerativeIndex
from slimvec.statistics.intervals import Interval, bootstrap_intervals
from slimvec.statistics.significance import compare_runs

SETS = ("cranfield", "medquad_retrieval", "cacm", "code_retrieval")
JUDGES = ("dense", "bm25", "likelihood", "generation")
PAIRS = (
    ("dense", "bm25"),
    ("dense", "likelihood"),
    ("dense", "generation"),
    ("bm25", "likelihood"),
    ("bm25", "generation"),
)
_SEED = 0


class Candidates(Frozen):
    """Candidates of a query, with what every judge says of them.

    Attributes:
        documents: Ids.
        grades: Judgments of the candidates.
        relevant: All grades above 0 that the query has in the set.
        scores: By judge.
        overlap: Share of the query's words that a relevant document has, the document that has the most of them.
    """

    documents: tuple[str, ...]
    grades: tuple[int, ...]
    relevant: tuple[int, ...]
    scores: dict[str, tuple[float, ...]]
    overlap: float


class ScoredSet(Frozen):
    """A set's candidates.

    Attributes:
        name: Name of the set.
        num_documents: Documents searched.
        num_truncated: Documents cut off for the likelihood.
        queries: Candidates by query.
    """

    name: str
    num_documents: int
    num_truncated: int
    queries: tuple[Candidates, ...]


class Row(Frozen):
    """A judge, or a fused pair, on one set or over all.

    Attributes:
        name: Set and judge; two judges with a plus.
        weight: Share of the second of a pair, fitted on the other sets; None for one alone.
        ndcg: nDCG@10 over the candidates, with its interval.
        over_dense: Paired difference to dense alone, with its interval.
    """

    name: str
    weight: float | None
    ndcg: tuple[float, float, float]
    over_dense: tuple[float, float, float]


class Comparison(Frozen):
    """All judges on all sets.

    Attributes:
        settings: As asked for.
        versions: Versions of the packages.
        sizes: By set, documents searched, queries, and documents cut off for the likelihood.
        weights: By pair, the share of the second judge fitted on all sets.
        rows: Results.
    """

    settings: dict[str, str]
    versions: dict[str, str]
    sizes: dict[str, tuple[int, int, int]]
    weights: dict[str, float]
    rows: tuple[Row, ...]


def main() -> None:
    """Score the sets and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--language-model", default="smollm2-135m")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--candidates", type=int, default=12)
    parser.add_argument("--document-tokens", type=int, default=80)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/reranking.json"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    missing = [name for name in options.sets if not (options.work / f"{name}.json").exists()]
    if missing:
        embedder = Embedder.load(options.model, max_tokens=128)
        language = Embedder.load(options.language_model)
    for name in missing:
        found = read_retrieval_set(options.data / name).sample(
            num_queries=options.queries, num_documents=options.documents, seed=_SEED
        )
        scored = _score(found, embedder, language, options.candidates, options.document_tokens)
        (options.work / f"{name}.json").write_text(scored.model_dump_json(), encoding="utf-8")
        print(name, "scored", flush=True)
    sets = [ScoredSet.model_validate_json((options.work / f"{name}.json").read_bytes()) for name in options.sets]
    rows = _rows(sets)
    settings = {name: str(value) for name, value in vars(options).items() if name not in ("data", "work", "output")}
    result = Comparison(
        settings=settings,
        versions=package_versions(),
        sizes={one.name: (one.num_documents, len(one.queries), one.num_truncated) for one in sets},
        weights={"+".join(pair): fit_weight([_judged(one, *pair) for one in sets]) for pair in PAIRS},
        rows=tuple(rows),
    )
    write_json(result, options.output)
    for row in rows:
        weight = "" if row.weight is None else f" w {row.weight:.2f}"
        print(
            f"{row.name:38} {row.ndcg[0]:.3f}  over dense {row.over_dense[0]:+.3f}"
            f" [{row.over_dense[1]:+.3f}, {row.over_dense[2]:+.3f}]{weight}"
        )


def _score(
    found: RetrievalSet, embedder: Embedder, language: Embedder, num_candidates: int, document_tokens: int
) -> ScoredSet:
    """Have every judge score the candidates of a set."""
    queries, documents = [query.text for query in found.queries], [document.content for document in found.documents]
    dense = embedder.similarity(embedder.embed_queries(queries), embedder.embed_documents(documents))
    lexical = np.stack(list(score_lexically(queries, documents)))
    chosen = [
        _in_turn(np.argsort(-near, kind="stable"), np.argsort(-match, kind="stable"), num_candidates)
        for near, match in zip(dense, lexical, strict=True)
    ]
    pairs = [(query, document) for query, numbers in enumerate(chosen) for document in numbers]
    likelihoods = language.language_model.log_likelihood(
        queries, documents, pairs=pairs, max_document_tokens=document_tokens
    )
    values = iter(likelihoods.values.tolist())
    index = GenerativeIndex(language.language_model)
    index.add(documents)
    rows = []
    for number, numbers in enumerate(chosen):
        grades = found.qrels[found.queries[number].id]
        written = index.scores(queries[number])
        ids = tuple(found.documents[document].id for document in numbers)
        scores = {
            "dense": tuple(float(dense[number, document]) for document in numbers),
            "bm25": tuple(float(lexical[number, document]) for document in numbers),
            "likelihood": tuple(next(values) for _ in numbers),
            "generation": tuple(float(written[document]) for document in numbers),
        }
        relevant = tuple(grade for grade in grades.values() if grade > 0)
        own = tuple(max(0, grades.get(document_id, 0)) for document_id in ids)
        about = [document.content for document in found.documents if grades.get(document.id, 0) > 0]
        overlap = max((_overlap(queries[number], text) for text in about), default=0.0)
        rows.append(Candidates(documents=ids, grades=own, relevant=relevant, scores=scores, overlap=overlap))
    return ScoredSet(
        name=found.name, num_documents=len(documents), num_truncated=likelihoods.num_truncated, queries=tuple(rows)
    )


def _overlap(query: str, document: str) -> float:
    """Give the share of a query's words, as BM25 counts them, that a document has."""
    asked = set(lexical_words(query))
    return len(asked & set(lexical_words(document))) / max(1, len(asked))


def _in_turn(first: Iterable[int], second: Iterable[int], count: int) -> list[int]:
    """Take the best of two rankings in turn, each document once."""
    both = chain.from_iterable(zip_longest(first, second))
    return [int(number) for number in dict.fromkeys(both)][:count]


def _judged(scored: ScoredSet, first: str, second: str) -> list[Judged]:
    """Give a set's candidates as two judges score them."""
    return [
        (np.array(query.scores[first]), np.array(query.scores[second]), np.array(query.grades, dtype=float))
        for query in scored.queries
    ]


def _rows(sets: Sequence[ScoredSet]) -> list[Row]:
    """Compare the judges and their pairs on every set, and over all."""
    by_judge: dict[str, dict[str, np.ndarray]] = {}
    weights: dict[tuple[str, str], float] = {}
    for number, own in enumerate(sets):
        relevant = [query.relevant for query in own.queries]
        for judge in JUDGES:
            by_judge.setdefault(judge, {})[own.name] = fused_ndcg(_judged(own, judge, judge), 0, relevant=relevant)
        for pair in PAIRS:
            weight = fit_weight([_judged(one, *pair) for one in [*sets[:number], *sets[number + 1 :]]])
            weights["+".join(pair), own.name] = weight
            values = fused_ndcg(_judged(own, *pair), weight, relevant=relevant)
            by_judge.setdefault("+".join(pair), {})[own.name] = values
    dense = by_judge["dense"]
    return [
        Row(
            name=f"{name}/{judge}",
            weight=weights.get((judge, name)),
            ndcg=_ends(bootstrap_intervals(values[:, None], seed=_SEED)[0]),
            over_dense=_ends(bootstrap_intervals((values - dense[name])[:, None], seed=_SEED)[0]),
        )
        for judge, by_set in by_judge.items()
        for name, values in by_set.items()
    ] + _rows_over_sets(sets, by_judge)


def _rows_over_sets(sets: Sequence[ScoredSet], by_judge: dict[str, dict[str, np.ndarray]]) -> list[Row]:
    """Compare them over all sets: on all queries, and by how many of their words a relevant document has."""
    dense, rows = by_judge["dense"], list[Row]()
    parts = {"all": {one.name: np.arange(len(one.queries)) for one in sets}}
    by_overlap = {one.name: np.argsort([query.overlap for query in one.queries], kind="stable") for one in sets}
    parts["fewest-words"] = {name: order[: len(order) // 2] for name, order in by_overlap.items()}
    parts["most-words"] = {name: order[len(order) // 2 :] for name, order in by_overlap.items()}
    for part, chosen in parts.items():
        for judge, by_set in by_judge.items():
            found, other = ({name: values[chosen[name]] for name, values in one.items()} for one in (by_set, dense))
            ndcg = _over_sets(found, {name: np.zeros_like(values) for name, values in found.items()})
            rows.append(Row(name=f"{part}/{judge}", weight=None, ndcg=ndcg, over_dense=_over_sets(found, other)))
    return rows


def _over_sets(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> tuple[float, float, float]:
    """Give the mean difference over sets, which count alike, with its interval over queries."""
    paired = ({name: values[None] for name, values in by_set.items()} for by_set in (first, second))
    return _ends(compare_runs(*paired, seed=_SEED).interval)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return round(interval.value, 4), round(interval.low, 4), round(interval.high, 4)


if __name__ == "__main__":
    main()
