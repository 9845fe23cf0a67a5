"""Options that several commands share, so that they read alike everywhere."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from slimvec.cli.terminal import Terminal

Role = Literal["query", "document"]
"""The roles of `slimvec.text.prompts`, written again because importing them takes a third of the time of `--help`."""
Dtype = Literal["auto", "float32", "bfloat16", "int8"]
Backend = Literal["auto", "slimvec", "sentence-transformers"]
"""The backends of `slimvec.evaluation.opening`, written again for the same reason."""

DEFAULT_MODEL = "slimvec-en"
"""Taken where a command needs a model and none is named; it comes with the package."""

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help=f"A model folder, a .gguf file, a built-in name or a hub name; default {DEFAULT_MODEL}.",
        metavar="M",
    ),
]
EvaluatedOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help=f"As everywhere, or a server: http://HOST:PORT/v1#MODEL; default {DEFAULT_MODEL}.",
        metavar="M",
    ),
]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of a hub name.", metavar="REV")]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        help="Data type of the weights; auto is what suits weights and machine, int8 is faster and less exact."
    ),
]
DimsOption = Annotated[
    int | None, typer.Option(min=1, help="Width of the vectors, when fewer than the model's.", metavar="N")
]
EchoOption = Annotated[
    bool, typer.Option("--echo", help="Read every text twice and pool its second copy; causal models only.")
]
TaskOption = Annotated[
    str | None, typer.Option(help="A task the model knows, or an instruction in words.", metavar="T")
]
FieldOption = Annotated[str, typer.Option(help="Field with the text, in .jsonl and .parquet files.", metavar="F")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
BackendOption = Annotated[
    Backend, typer.Option(help="Library that runs the model; auto is sentence-transformers where slimvec cannot.")
]
ThroughOption = Annotated[Backend | None, typer.Option("--through", hidden=True, help="The old name of --backend.")]


def backend_by_either_name(terminal: "Terminal", backend: Backend, through: Backend | None) -> Backend:
    """Give the backend asked for by `--backend` or by its old name `--through`, which goes with the next release."""
    if through is None:
        return backend
    terminal.remark("--through is now called --backend; the old name works until the next release")
    return through
