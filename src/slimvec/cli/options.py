"""Options that several commands share, so that they read alike everywhere; `slimvec.cli.described` reads them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from slimvec.probes.registry import PROBES

if TYPE_CHECKING:
    from slimvec.cli.terminal import Terminal
    from slimvec.evaluation.opening import EvaluatedSettings

Role = Literal["query", "document"]
"""The roles of `slimvec.text.prompts`, written again because importing them takes a third of the time of `--help`."""
Dtype = Literal["auto", "float32", "bfloat16", "int8"]
Backend = Literal["auto", "slimvec", "sentence-transformers"]
"""The backends of `slimvec.evaluation.opening`, written again for the same reason."""
Amount = Literal["full", "quick", "tiny"]
"""The amounts of `slimvec.probes.results`, likewise."""

DEFAULT_MODEL = "slimvec-en"
"""Taken where a command needs a model and none is named; it comes with the package."""

NAMES = {"DEFAULT_MODEL": DEFAULT_MODEL, "PROBES": ", ".join(PROBES)}
"""What descriptions name as `{DEFAULT_MODEL}`, `{PROBES}`."""

SHARED = """
Options:
    model -m M: A model folder, a .gguf file, a built-in name or a hub name; default {DEFAULT_MODEL}.
    revision REV: Revision of a hub name.
    dtype: Data type of the weights; auto is what suits weights and machine, int8 is faster and less exact.
    dims N (from 1): Width of the vectors, when fewer than the model's.
    echo: Read every text twice and pool its second copy; causal models only.
    task T: A task the model knows, or an instruction in words.
    field F: Field with the text, in .jsonl and .parquet files.
    backend: Library that runs the model; auto is sentence-transformers where slimvec cannot.
    through --through (hidden): The old name of --backend.
    query_prompt TEXT: Written in front of queries.
    document_prompt TEXT: Written in front of documents.
    cache --cache/--no-cache: Keep vectors for the next run.
    strict: Refuse a set with empty documents or judgements of what is not there.
    vectors: How vectors are held: 4 bytes a dim, a byte, or a bit; default float32.
    chunk_tokens N (from 16): Most tokens of a chunk; default 256, if the model takes that.
    late --late/--no-late: Pool each chunk within its whole document (late chunking).
    approximate --approximate/--exact: An approximate index over the vectors; default from 50,000 chunks on.
    index -x INDEX: What `slimvec index` made.
    host: Address to listen at.
    port (0 to 65535): Port to listen at; 0 takes a free one.
    keys F: File of keys that open it, made with slimvec key.
    allow_open: Serve other machines without keys.
    restart: Throw away what a killed run left in the work folder.
    force: Replace the output if it exists.
"""
"""What a parameter of these names means in every command whose docstring says nothing else of it."""


@dataclass(frozen=True)
class Loading:
    """How a model is loaded."""

    dims: int | None = None
    dtype: Dtype = "auto"
    revision: str | None = None


PLAINLY = Loading()
"""As the model says."""


@dataclass(frozen=True)
class Opening(Loading):
    """How a model is opened that is evaluated or probed, whatever library runs it."""

    backend: Backend = "auto"
    through: Backend | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    cache: bool = True

    def named_anew(self, terminal: "Terminal") -> "Opening":
        """Take a backend that was asked for by its old name `--through`, which goes with the next release."""
        if self.through is None:
            return self
        terminal.remark("--through is now called --backend; the old name works until the next release")
        return replace(self, backend=self.through, through=None)

    @property
    def settings(self) -> "EvaluatedSettings":
        """What shall differ from the model's own."""
        names = ("revision", "dtype", "dims", "query_prompt", "document_prompt")
        return {name: getattr(self, name) for name in names}  # type: ignore[return-value]
