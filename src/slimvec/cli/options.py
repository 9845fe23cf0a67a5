"""Options that several commands share, so that they read alike everywhere."""

from typing import Annotated, Literal

import typer

Role = Literal["query", "document"]
"""The roles of `slimvec.text.prompts`, written again because importing them takes a third of the time of `--help`."""
Dtype = Literal["auto", "float32", "bfloat16", "int8"]

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A model folder, a .gguf file, a built-in name (smollm2-135m) or a hub name.", metavar="M"
    ),
]
RevisionOption = Annotated[str | None, typer.Option(help="Revision of a hub name.", metavar="REV")]
DtypeOption = Annotated[
    Dtype, typer.Option(help="Of the weights; auto is what suits weights and machine, int8 is faster and less exact.")
]
DimsOption = Annotated[
    int | None, typer.Option(min=1, help="Width of the vectors, when fewer than the model's.", metavar="N")
]
TaskOption = Annotated[
    str | None, typer.Option(help="A task the model knows, or an instruction in words.", metavar="T")
]
FieldOption = Annotated[str, typer.Option(help="Field with the text, in .jsonl and .parquet files.", metavar="F")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
