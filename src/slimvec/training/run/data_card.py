"""The data card of a run: what its sources held, measured on the records that were used."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import tokenizers

from slimvec.data.card import (
    DataCard,
    License,
    SourceSummary,
    find_license,
    make_data_card,
    summarise_source,
    write_data_card,
)
from slimvec.data.records import Record
from slimvec.files import write_text
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.sources import SourceRecord
from slimvec.training.recipe import Source


def describe_data(
    sources: Sequence[Source], records: Sequence[Record], held: Sequence[SourceRecord], tokenizer: Tokenizer
) -> DataCard:
    """Describe the data of a run.

    Args:
        sources: Sources of the recipe.
        records: As `read_sources` gave them: those used, source after source.
        held: What it said the sources held.
        tokenizer: The model's; lengths in tokens are without prompts and whatever the model's limit.
    """
    plain = tokenizer.unlimited()
    ends = list(accumulate(record.num_used for record in held))
    seen: set[bytes] = set()
    return make_data_card(
        [
            _summary(source, records[end - record.num_used : end], record, plain, seen)
            for source, record, end in zip(sources, held, ends, strict=True)
        ]
    )


def _summary(
    source: Source, records: Sequence[Record], held: SourceRecord, tokenizer: tokenizers.Tokenizer, seen: set[bytes]
) -> SourceSummary:
    return summarise_source(
        records,
        name=Path(held.path).name,
        path=held.path,
        sha256=None if source.is_hub else held.sha256,
        license=_license(source),
        num_read=held.num_records,
        weight=held.weight,
        skipped=held.skipped,
        dropped=None if source.cleaning is None else held.dropped,
        num_merged=held.num_merged,
        count_tokens=partial(_count_tokens, tokenizer),
        seen=seen,
    )


def _license(source: Source) -> License:
    if source.license is not None:
        return License(text=source.license, stated_by="the recipe")
    return License() if source.is_hub else find_license(Path(source.path))


def _count_tokens(tokenizer: tokenizers.Tokenizer, texts: Sequence[str]) -> list[int]:
    return [len(encoding) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def keep_stage_card(card: DataCard, workspace: Path, number: int) -> None:
    """Keep the card of a stage in the run's workspace until the run is over.

    Args:
        card: Card of the stage.
        workspace: Workspace of the run.
        number: Number of the stage, from 1.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(_card_path(workspace, number), card.model_dump_json(), force=True)


def write_run_card(workspace: Path, num_stages: int, folder: Path) -> None:
    """Write the card of all stages of a run into the model's folder, sources in the order they were trained on.

    Args:
        workspace: Workspace of the run.
        num_stages: In it; each has kept its card.
        folder: Folder of the model.

    Raises:
        StorageError: it cannot be written.
    """
    cards = [
        DataCard.model_validate_json(_card_path(workspace, number).read_bytes()) for number in range(1, num_stages + 1)
    ]
    write_data_card(make_data_card([source for card in cards for source in card.sources]), folder)


def _card_path(workspace: Path, number: int) -> Path:
    return workspace / "data_cards" / f"{number:02d}.json"
