"""Bodies of the routes that show what vectors say: texts compared, and words that make two texts near."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from slimvec.text.prompts import Role

MAX_COMPARED = 64


class CompareRequest(BaseModel):
    """Texts to compare.

    Attributes:
        texts: Two or more.
        model: Name of a model here; default the first.
        input_type: Role of all of them.
    """

    model_config = ConfigDict(extra="forbid")

    texts: Annotated[list[str], Field(min_length=2, max_length=MAX_COMPARED)]
    model: str | None = Field(default=None, max_length=256)
    input_type: Role | None = None


class Comparison(BaseModel):
    """Every text with every other.

    Attributes:
        model: Name of the model.
        similarity: By text and text, as the model compares.
        input_type: The role they were embedded in.
        truncated: Numbers of the texts that lost their end.
    """

    model: str
    similarity: list[list[float]]
    input_type: Role
    truncated: list[int]


class ExplainRequest(BaseModel):
    """Two texts to explain.

    Attributes:
        query: The one, as a query.
        document: The other, as a document.
        model: Name of a model here; default the first.
        by_token: Go by the model's tokens, not by words.
    """

    model_config = ConfigDict(extra="forbid")

    query: str
    document: str
    model: str | None = Field(default=None, max_length=256)
    by_token: Annotated[bool, Field(strict=True)] = False


class Word(BaseModel):
    """A word of a text.

    Attributes:
        text: It.
        start: Where it begins, in the prompt or in the text.
        end: Where it ends.
        share: What it adds to the cosine, over the whole other text.
        is_prompt: Whether it is the prompt's.
        is_special: Whether it is a special token.
    """

    text: str
    start: int
    end: int
    share: float
    is_prompt: bool
    is_special: bool


class Attribution(BaseModel):
    """Why two texts are near.

    Attributes:
        model: Name of the model.
        cosine: Cosine of the two vectors.
        query: Words of the one; their shares sum to the cosine.
        document: Words of the other; their shares do too.
        num_truncated: Tokens that were truncated for the model's limit.
    """

    model: str
    cosine: float
    query: list[Word]
    document: list[Word]
    num_truncated: int
