"""slimvec itself: as it comes, in int8, without prompt reuse, through transformers, and the fp32 reference."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.engines.base import Model, Run, versions

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder
    from slimvec.engine.loading import EngineName
    from slimvec.text.prompts import Role


class Slimvec:
    """`Embedder` with nothing set; the instruction is the model's query prompt, so that its states are reused."""

    engine: "EngineName" = "auto"
    dtype = "auto"
    reuses_prompt = True

    def __init__(self) -> None:
        self._embedder: Embedder | None = None
        self._instruction = ""

    def prepare(self, model: Model) -> None:
        """Fetch and convert the model if that was never done."""
        self.load(model)

    def load(self, model: Model) -> Mapping[str, str]:
        """Load the embedder."""
        from slimvec import Embedder, Prompts

        self._instruction = model.instruction
        self._embedder = Embedder.load(
            model.source,
            engine=self.engine,
            dtype=self.dtype,
            max_tokens=model.max_tokens,
            prompts=Prompts(query=model.instruction),
        )
        named = {"engine": self._embedder.engine, "dtype": self._embedder.dtype}
        if self._embedder.engine_reason:
            named["reason"] = self._embedder.engine_reason
        return {**named, **versions("slimvec", "torch", "transformers")}

    def embed(self, texts: Sequence[str], instructed: bool) -> Run:
        """Embed as queries when instructed, as documents otherwise."""
        assert self._embedder is not None
        if instructed and not self.reuses_prompt:
            texts = [self._instruction + text for text in texts]
        role: Role = "query" if instructed and self.reuses_prompt else "document"
        result = self._embedder.embed(texts, role=role)
        return Run(result.vectors, result.num_computed)


class Int8(Slimvec):
    """The same with the larger half of the products in int8: faster, and less exact."""

    dtype = "int8"


class WithoutReuse(Slimvec):
    """The same fused decoder, with the instruction written into every text: nothing is shared."""

    engine = "fused"
    reuses_prompt = False


class Transformers(Slimvec):
    """The path through transformers, packed, in the dtype slimvec chooses."""

    engine = "transformers"


class Reference(Slimvec):
    """The path through transformers in float32: what parity is measured against."""

    engine = "transformers"
    dtype = "float32"
