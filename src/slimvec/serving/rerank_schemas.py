"""Bodies of the routes that put texts in order for a query."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from slimvec.serving.openai_schemas import Usage

Texts = Annotated[list[str], Field(min_length=1)]
Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Flag = Annotated[bool, Field(strict=True)]


class RerankRequest(BaseModel):
    """Texts to put in order, in the form of text-embeddings-inference.

    Attributes:
        query: What is asked.
        texts: The candidates.
        raw_scores: Scores as they are; else each is put between 0 and 1.
        return_text: Give the texts back.
        truncate: Whether texts over the model's limit are cut; default the server's policy.
        truncation_direction: The end that is cut; always the right one.
        model: Ours: name of a model here; default the first.
        weight: Ours: share of the likelihood, the rest is the cosine's; default what the model can.
    """

    model_config = ConfigDict(extra="forbid")

    query: str
    texts: Texts
    raw_scores: _Flag = False
    return_text: _Flag = False
    truncate: bool | None = Field(default=None, strict=True)
    truncation_direction: Literal["Right", "right"] = "Right"
    model: str | None = Field(default=None, max_length=256)
    weight: Weight | None = None


class Rank(BaseModel):
    """A text in its new place.

    Attributes:
        index: Its number among those given.
        score: What it is ordered by; comparable within one query alone.
        text: It, where asked for.
    """

    index: int
    score: float
    text: str | None = None


class RankedDocumentsRequest(BaseModel):
    """Documents to put in order, in the form that Cohere's and Jina's clients send.

    Attributes:
        model: Name of a model here.
        query: What is asked.
        documents: The candidates.
        top_n: Most of them in the answer; default all.
        return_documents: Give the texts back.
        truncate: Ours: whether texts over the model's limit are cut; default the server's policy.
        weight: Ours: share of the likelihood, the rest is the cosine's; default what the model can.
    """

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=256)
    query: str
    documents: Texts
    top_n: Annotated[int, Field(strict=True, ge=1)] | None = None
    return_documents: _Flag = False
    truncate: bool | None = Field(default=None, strict=True)
    weight: Weight | None = None


class DocumentText(BaseModel):
    """The text of a document."""

    text: str


class RankedDocument(BaseModel):
    """A document in its new place.

    Attributes:
        index: Its number among those given.
        relevance_score: Between 0 and 1; comparable within one query alone.
        document: Its text, where asked for.
        cosine: Ours: with the query, where it was looked at.
        likelihood: Ours: log p(query | document) a token, where it was looked at.
    """

    index: int
    relevance_score: float
    document: DocumentText | None = None
    cosine: float | None = None
    likelihood: float | None = None


class RankedDocuments(BaseModel):
    """Documents in order.

    Attributes:
        model: Name of the model.
        results: Best first.
        usage: Tokens.
        weight: Ours: share of the likelihood in the scores; 0 for a model that has none.
        num_truncated: Ours: documents that lost their end.
    """

    model: str
    results: list[RankedDocument]
    usage: Usage
    weight: float
    num_truncated: int
