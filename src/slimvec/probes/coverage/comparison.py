"""Several tokenizers side by side, without their models: a result of all of them, and its report."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import tokenizers

from slimvec.errors import InputError
from slimvec.evaluation.results import package_versions
from slimvec.files import atomic_folder
from slimvec.frozen import Frozen, Stored
from slimvec.probes.coverage.counting import (
    CHARACTERS,
    COVERAGE,
    EXACT,
    FERTILITY,
    FOLDER,
    PIECES,
    UNKNOWN,
    Measured,
    ParallelSentences,
)
from slimvec.probes.coverage.parts import character_part, file_part, joined, named, named_metrics
from slimvec.probes.coverage.sentences_result import comparison_table, describe, language_table, metrics, script_plots
from slimvec.probes.coverage.tokenizer_probe import TokenizerProbe
from slimvec.probes.page import result_blocks, settings_table
from slimvec.probes.protocol import ProbeConfig, answered
from slimvec.probes.results import ProbeResult
from slimvec.reports.blocks import Heading, write_pages
from slimvec.reports.parts import Table
from slimvec.text.coverage import CoverageMeter
from slimvec.text.scripts import characters_by_script

TITLE = "What tokenizers can read"
_COMPARED = (COVERAGE, FERTILITY, PIECES, UNKNOWN, EXACT, CHARACTERS)
Backends = Mapping[str, tokenizers.Tokenizer]


class TokenizerCard(Frozen):
    """A tokenizer that was compared.

    Attributes:
        name: In the report.
        vocabulary: Number of its tokens.
        sha256: SHA-256 of its `tokenizer.json` as the library writes it.
    """

    name: str
    vocabulary: int
    sha256: str


class TokenizerReport(Stored):
    """Tokenizers side by side.

    Attributes:
        tokenizers: In the order they were named.
        reading: What was found; parts of the measures' names are figure, tokenizer, and script or language.
        amount: How much was drawn.
        seed: Random seed for the draws and the bootstrap.
        created: Day and time, UTC, ISO 8601.
        versions: Package versions.
    """

    what: ClassVar[str] = "a report of tokenizers"

    tokenizers: tuple[TokenizerCard, ...]
    reading: ProbeResult
    amount: str
    seed: int
    created: str
    versions: Mapping[str, str]


def compare_tokenizers(backends: Backends, config: ProbeConfig) -> TokenizerReport:
    """Put tokenizers to the same texts.

    Args:
        backends: Tokenizers by the names they are shown by.
        config: Its data may have `sib200`; its text file is read too. With neither, characters of every script.

    Raises:
        InputError: no tokenizer, or malformed data.
    """
    if not backends:
        raise InputError("no tokenizer", expected="one or more to compare")
    start = perf_counter()
    found = joined(list(_parts(backends, config)), between="\n")
    more = {"probe": "tokenizers", "remedies": (), "seed": config.seed, "seconds": perf_counter() - start}
    return TokenizerReport(
        tokenizers=tuple(
            TokenizerCard(
                name=name,
                vocabulary=backend.get_vocab_size(),
                sha256=hashlib.sha256(backend.to_str().encode()).hexdigest(),
            )
            for name, backend in backends.items()
        ),
        reading=found.model_copy(update=more),
        amount=config.amount,
        seed=config.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=package_versions(),
    )


def write_report(folder: str | Path, report: TokenizerReport, *, force: bool = False) -> None:
    """Write `report.html`, `report.md` with its pictures in `plots`, and `report.json`.

    Raises:
        InputError: the folder exists, and not `force`.
        StorageError: it cannot be written.
    """
    cards = [(card.name, f"{card.vocabulary:,}", card.sha256[:16]) for card in report.tokenizers]
    blocks = [
        Heading(TITLE, 1),
        Table(title="Tokenizers", header=("name", "tokens", "SHA-256"), rows=tuple(cards)),
        *result_blocks((report.reading,), ("",)),
        settings_table(report.created, report.amount, report.seed, report.versions),
    ]
    with atomic_folder(folder, force=force) as staged:
        report.write(staged / "report.json")
        write_pages(staged, TITLE, blocks)


def _parts(backends: Backends, config: ProbeConfig) -> Iterator[ProbeResult]:
    """Measure sentences and a user's file where they are at hand, and characters where neither is."""
    folder, seed, probe = config.folder(FOLDER), config.seed, TokenizerProbe()
    meters = {name: CoverageMeter(backend) for name, backend in backends.items()}
    if folder is not None:
        drawn = ParallelSentences.read(folder).sample(config.count(probe.num_sentences), seed=seed)
        several = [Measured.of(name, backend, drawn, seed=seed) for name, backend in backends.items()]
        yield answered(
            probe,
            "\n".join(map(describe, several)),
            [metric for measured in several for metric in named_metrics(metrics(measured), measured.name)],
            tables=[*(comparison_table(figure, several) for figure in _COMPARED), *map(language_table, several)],
            plots=script_plots(several),
            details={"languages": len(drawn.texts), "sentences": drawn.num_sentences},
        )
    if config.text_file is not None:
        for name, meter in meters.items():
            yield named(file_part(probe, meter, config.text_file, seed=seed), name)
    elif folder is None:
        most = config.count(probe.num_characters)
        parts = [character_part(probe, meter, most=most, seed=seed) for meter in meters.values()]
        cells = [{script: f"{share} at {tokens}" for script, _, share, tokens in part.tables[0].rows} for part in parts]
        rows = tuple((script, *(own[script] for own in cells)) for script in characters_by_script())
        title = "Characters that survive, and tokens a character"
        shared = Table(title=title, header=("script", *meters), rows=rows)
        for number, (name, part) in enumerate(zip(meters, parts, strict=True)):
            tables = () if number else (shared,)
            yield named(part, name).model_copy(update={"tables": tables, "plots": ()})
