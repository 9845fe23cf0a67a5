"""What a server allows: one frozen object, the same for every route."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.engine.scheduler import MAX_WAIT_SECONDS, MAX_WAITING_TOKENS
from slimvec.frozen import Frozen
from slimvec.text.prompts import Role

LongTexts = Literal["cut", "refuse"]


class ServerSettings(Frozen):
    """Limits and defaults of a server.

    Attributes:
        input_type: Role of texts whose request does not say it.
        long_texts: What is done about a text longer than its model's limit: `cut`, which every answer reports, or
            `refuse`.
        max_texts: Most texts in a request; 2,048 as OpenAI has it.
        max_body_bytes: Largest body of a request.
        max_waiting_tokens: Most tokens that wait for a model; beyond them requests get 429.
        max_wait_seconds: Longest wait that is expected of a request; beyond it requests get 429.
        request_seconds: Longest time from a request's body to its answer.
        body_seconds: Longest time for a request to arrive.
        drain_seconds: Longest time that a server which is asked to stop spends on what it has taken.
    """

    input_type: Role = "document"
    long_texts: LongTexts = "cut"
    max_texts: int = Field(default=2048, ge=1)
    max_body_bytes: int = Field(default=8 << 20, ge=1024)
    max_waiting_tokens: int = Field(default=MAX_WAITING_TOKENS, ge=1)
    max_wait_seconds: float = Field(default=MAX_WAIT_SECONDS, gt=0)
    request_seconds: float = Field(default=120.0, gt=0)
    body_seconds: float = Field(default=20.0, gt=0)
    drain_seconds: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _waits_within_the_time(self) -> Self:
        if self.max_wait_seconds > self.request_seconds:
            raise ValueError("max_wait_seconds is more than request_seconds: what waits that long is given up")
        return self
