"""The objective `ngrams`: a language model that writes, for a query, n-grams of the documents that answer it."""

from typing import Literal

from pydantic import Field

from slimvec.frozen import Section


class NGrams(Section):
    """Learn to write n-grams of a query's positives, for generative retrieval (SEAL, arXiv 2204.10628).

    The model is asked as in `slimvec search --generate`, and the loss is that of the next token over the target alone:
    an n-gram of a positive, or its title. The data are pairs, or plain texts, which ask with a span of their own. What
    is trained is the language model, whose head is saved with it; its vectors are not trained. The sections `loss` and
    `batch.pairs` say nothing; `batch.max_query_tokens` holds, the prompt included.

    Attributes:
        kind: `ngrams`.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default `text` for rows that have one and are no
            pairs. `.txt` sources hold a text a line.
        queries: Queries a step.
        targets: Targets of a query each time it comes, drawn anew in each epoch. SEAL has 10.
        tokens: Tokens of an n-gram, as far as the document has them; SEAL has 10 words. Search writes at most 16.
        overlap: How much n-grams are preferred that look like the query. An n-gram is drawn with a probability in
            proportion to e to the power of `overlap` times the share of its characters that stand in runs of four
            characters which the query has too, capitals aside. 0 draws all alike.
        title_share: Share of the targets that are a title, for records that have one.
        span_share: Share of the targets that are asked for by a span of the document, as long as an n-gram, in place of
            the query; the n-gram is then another one, drawn regardless of overlap.
    """

    kind: Literal["ngrams"]
    field: str | None = None
    queries: int = Field(default=32, ge=1)
    targets: int = Field(default=4, ge=1)
    tokens: int = Field(default=10, ge=1, le=16)
    overlap: float = Field(default=5.0, ge=0, le=100)
    title_share: float = Field(default=0.1, ge=0, le=1)
    span_share: float = Field(default=0.1, ge=0, le=1)
