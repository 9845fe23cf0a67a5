"""Retrieval by where the evidence lies: questions on paragraphs, grouped by the place of the answer.

XQuAD (arXiv 1910.11856) has the same questions and paragraphs in twelve languages, with the answers' offsets. A
question is one item: its nDCG and its place are means over the languages asked, so that its translations do not count
as further items. Questions by place also differ in how hard they are, whoever looks for them; how BM25, which has no
positions, fares on the same groups shows that part.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slimvec.data.retrieval import Document, Query
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.data.tables import iter_rows
from slimvec.errors import InputError
from slimvec.evaluation.models import EvaluatedModel
from slimvec.probes.documents import count_tokens, embed_documents
from slimvec.probes.protocol import ProbeConfig, embed
from slimvec.ranking.bm25 import rank_lexically
from slimvec.ranking.metrics import single_ndcg
from slimvec.statistics.resampling import Numbers, Values


@dataclass(frozen=True)
class Paragraphs:
    """Paragraphs of one language with their questions.

    Attributes:
        language: Code.
        documents: N paragraphs.
        questions: Q questions.
        right: [Q] number of each question's paragraph.
        places: [Q] where the answer begins, as a share of the paragraph.
    """

    language: str
    documents: tuple[Document, ...]
    questions: tuple[Query, ...]
    right: Numbers
    places: Values


@dataclass(frozen=True)
class EvidenceScores:
    """Scores of Q questions.

    Attributes:
        ndcg: [Q] of the model.
        lexical: [Q] of BM25.
        places: [Q] relative place of the answer, 0 to 1.
        tokens: [Q] tokens before the answer, about.
        units: [Q] number of the paragraph.
        languages: Which were asked.
        num_cut: Questions left out because the model cuts off their paragraph: an answer that it never saw says nothing
            of where it looks.
    """

    ndcg: Values
    lexical: Values
    places: Values
    tokens: Values
    units: Numbers
    languages: tuple[str, ...]
    num_cut: int = 0


def read_paragraphs(folder: Path, languages: tuple[str, ...], num_documents: int) -> list[Paragraphs]:
    """Read paragraphs and questions of some languages, the first ones of each.

    Args:
        folder: Folder of XQuAD: a retrieval set whose queries have `answer_start`, in characters of the paragraph's
            text.
        languages: Codes, as the queries have them.
        num_documents: Paragraphs of each language.

    Raises:
        InputError: the set is malformed, has no question in a language or an answer outside its paragraph.
    """
    found = read_retrieval_set(folder)
    path = next(path for path in (folder / "queries.jsonl", folder / "queries.jsonl.gz") if path.is_file())
    starts = {
        str(row.values.get("id", row.values.get("_id"))): row.values.get("answer_start") for row in iter_rows(path)
    }
    documents = {document.id: document for document in found.documents}
    parts = []
    for language in languages:
        owners = {
            query: max(found.qrels[query.id].items(), key=lambda item: item[1])[0]
            for query in found.queries
            if query.language == language
        }
        if not owners:
            there = ", ".join(sorted({str(query.language) for query in found.queries}))
            raise InputError(f"{folder} has no questions in {language!r}", expected=f"one of {there}")
        numbers = {id_: number for number, id_ in enumerate(list(dict.fromkeys(owners.values()))[:num_documents])}
        asked = {query: owner for query, owner in owners.items() if owner in numbers}
        places = [_place(starts[q.id], documents[owner], f"{path}: question {q.id}") for q, owner in asked.items()]
        parts.append(
            Paragraphs(
                language,
                tuple(documents[id_] for id_ in numbers),
                tuple(asked),
                np.array([numbers[owner] for owner in asked.values()]),
                np.array(places),
            )
        )
    return parts


def score_evidence(model: EvaluatedModel, parts: list[Paragraphs], config: ProbeConfig) -> EvidenceScores:
    """Score a model on paragraphs of several languages, each among the paragraphs of its own."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    cut: set[str] = set()
    units: dict[str, int] = {}
    for part in parts:
        texts = [document.content for document in part.documents]
        queries = embed(model, [query.text for query in part.questions], config, role="query", kind="Retrieval")
        documents = embed_documents(model, texts, config)
        ndcg = single_ndcg(queries @ documents.vectors.T, part.right)
        lexical = _lexical_ndcg(part, texts)
        tokens = part.places * count_tokens(documents, texts)[part.right]
        for number, query in enumerate(part.questions):
            key = query.align or query.id
            if documents.truncated[part.right[number]] == 1:
                cut.add(key)
            row = (ndcg[number], lexical[number], part.places[number], tokens[number])
            rows.setdefault(key, []).append(tuple(map(float, row)))  # type: ignore[arg-type]
            units.setdefault(key, int(part.right[number]))
    languages = tuple(part.language for part in parts)
    kept = [key for key in rows if key not in cut]
    means = np.array([np.mean(rows[key], axis=0) for key in kept]).reshape(-1, 4)
    ndcg, lexical, places, tokens = means.T
    owners = np.array([units[key] for key in kept], dtype=np.int64)
    return EvidenceScores(ndcg, lexical, places, tokens, owners, languages, len(cut))


def _place(start: object, document: Document, where: str) -> float:
    """Relative place of an answer in its paragraph."""
    length = len(document.text)
    if not isinstance(start, int) or not 0 <= start < length:
        raise InputError(f"{where} has answer_start {start!r}", expected=f"a character of its paragraph, 0 to {length}")
    return start / length


def _lexical_ndcg(part: Paragraphs, texts: list[str]) -> Values:
    """Give nDCG@10 of BM25."""
    ids = [document.id for document in part.documents]
    ranking = rank_lexically([query.text for query in part.questions], texts, ids)
    scores = np.zeros((len(part.questions), len(ids)))
    best_first = np.arange(ranking.top.shape[1], 0, -1.0)
    np.put_along_axis(scores, ranking.top, best_first[None], axis=1)
    return single_ndcg(scores, part.right)
