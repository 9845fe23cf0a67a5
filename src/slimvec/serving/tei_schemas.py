"""Bodies of the routes of text-embeddings-inference. What is ours beyond theirs is marked so."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from slimvec.serving.openai_schemas import Input, ModelDetails
from slimvec.text.prompts import Role

_Name = Annotated[str, Field(max_length=4096)]


class EmbedRequest(BaseModel):
    """Texts to embed.

    Attributes:
        inputs: A text, a list of texts, token ids of the model's own tokenizer, or a list of such.
        normalize: Whether vectors have unit length.
        truncate: Whether texts over the model's limit are cut; default the server's policy.
        truncation_direction: The end that is cut; always the right one.
        prompt_name: `query` or `document`, or a task or prompt that the model knows by name.
        dimensions: Width of the vectors, when fewer than the model's.
        model: Ours: name of a model here; default the first.
    """

    model_config = ConfigDict(extra="forbid")

    inputs: Input
    normalize: Annotated[bool, Field(strict=True)] = True
    truncate: bool | None = Field(default=None, strict=True)
    truncation_direction: Literal["Right", "right"] = "Right"
    prompt_name: _Name | None = None
    dimensions: Annotated[int, Field(strict=True, ge=1)] | None = None
    model: str | None = Field(default=None, max_length=256)


class EmbeddingPooling(BaseModel):
    """How a model pools."""

    pooling: str


class ModelType(BaseModel):
    """What a model is for."""

    embedding: EmbeddingPooling


class Info(BaseModel):
    """A server and its first model.

    Attributes:
        model_id: Name of the model.
        model_sha: Its identity.
        model_dtype: What it is computed in.
        model_type: What it is for.
        max_input_length: Longest text in tokens.
        max_batch_tokens: Most tokens of a batch.
        max_client_batch_size: Most texts in a request.
        auto_truncate: Whether texts over the limit are cut unless a request says otherwise.
        version: Version of slimvec.
        default_input_type: Ours: role of texts whose request says none.
        slimvec: Ours: what decides its vectors.
    """

    model_id: str
    model_sha: str
    model_dtype: str
    model_type: ModelType
    max_input_length: int
    max_batch_tokens: int
    max_client_batch_size: int
    auto_truncate: bool
    version: str
    default_input_type: Role
    slimvec: ModelDetails
