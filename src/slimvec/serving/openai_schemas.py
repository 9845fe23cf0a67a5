"""Bodies of the routes that OpenAI's clients use. What is ours beyond theirs is marked so."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from slimvec.model.spec import Pooling, Route
from slimvec.text.prompts import Role

TokenId = Annotated[int, Field(strict=True, ge=0)]


def _one_shape(value: Any) -> Any:
    """Say in one line what an input may be; a union's own message is one line a member."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        kinds = {_kind(item) for item in value}
        if kinds == {"text"} or kinds == {"id"}:
            return value
        if kinds == {"list"} and all(item and {_kind(part) for part in item} == {"id"} for item in value):
            return value
    raise ValueError("expected a string, a list of strings, a list of token ids, or a list of such lists; none empty")


def _kind(item: Any) -> str:
    """Tell texts, token ids and lists apart."""
    if isinstance(item, str):
        return "text"
    if isinstance(item, list):
        return "list"
    return "id" if isinstance(item, int) and not isinstance(item, bool) and item >= 0 else "other"


Input = Annotated[
    str
    | Annotated[list[str], Field(min_length=1)]
    | Annotated[list[TokenId], Field(min_length=1)]
    | Annotated[list[Annotated[list[TokenId], Field(min_length=1)]], Field(min_length=1)],
    BeforeValidator(_one_shape),
]


class EmbeddingsRequest(BaseModel):
    """Texts to embed.

    Attributes:
        input: A text, a list of texts, token ids of the model's own tokenizer, or a list of such.
        model: Name of a model here; `NAME:query` and `NAME:document` say the input type too.
        encoding_format: `float`, or `base64` of little-endian float32.
        dimensions: Width of the vectors, when fewer than the model's.
        user: Taken and not looked at.
        input_type: Ours: role of the texts. It decides the prompt; the answer says which one was taken.
        task: Ours: a task the model knows, or an instruction.
        truncate: Ours: whether texts over the model's limit are cut; default the server's policy.
    """

    model_config = ConfigDict(extra="forbid")

    input: Input
    model: str = Field(max_length=256)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(strict=True, ge=1)] | None = None
    user: str | None = Field(default=None, max_length=1024)
    input_type: Role | None = None
    task: str | None = Field(default=None, max_length=4096)
    truncate: bool | None = Field(default=None, strict=True)


class Embedding(BaseModel):
    """The vector of a text.

    Attributes:
        object: Always `embedding`.
        index: Number of the text.
        embedding: Its vector, as numbers or in base64; null for a text that has none.
        error: Ours: why it has none.
    """

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str | None
    error: str | None = None


class Usage(BaseModel):
    """Tokens of a request, prompts included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """Vectors of texts.

    Attributes:
        object: Always `list`.
        data: By text.
        model: Name of the model.
        usage: Tokens.
        input_type: Ours: the role that the texts were embedded in.
        truncated: Ours: numbers of the texts that lost their end.
        identity: Ours: identity of the model, as in its indexes and reports.
    """

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage
    input_type: Role
    truncated: list[int]
    identity: str


class ModelDetails(BaseModel):
    """What decides a model's vectors.

    Attributes:
        identity: SHA-256 over weights, settings and prompts, as in its indexes and reports.
        dims: Width of its vectors.
        trained_dims: Widths that its training aimed at.
        max_tokens: Longest text, prompt included.
        attention: `causal` or `bidirectional`.
        pooling: How states become a vector.
        normalized: Whether vectors have unit length.
        similarity: How they are compared.
        prompts: What is written in front of a text, by input type.
        tasks: Tasks it knows by name.
        default_input_type: Taken when a request says none.
        dtype: What it is computed in.
        engine: What runs it.
        queries: What is different for queries, where they run through other modules than documents.
    """

    identity: str
    dims: int
    trained_dims: list[int]
    max_tokens: int
    attention: str
    pooling: Pooling
    normalized: bool
    similarity: str
    prompts: dict[Role, str]
    tasks: list[str]
    default_input_type: Role
    dtype: str
    engine: str
    queries: Route | None


class ModelCard(BaseModel):
    """A model as OpenAI's clients list it.

    Attributes:
        id: Its name here.
        object: Always `model`.
        created: When the server loaded it, in seconds since 1970.
        owned_by: Always `slimvec`.
        slimvec: Ours: what decides its vectors.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["slimvec"] = "slimvec"
    slimvec: ModelDetails


class ModelList(BaseModel):
    """The models of a server."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
