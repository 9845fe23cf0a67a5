"""Several tokenizers side by side, without their models: a result of all of them, and its report."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
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
    ParallelSentences,
)
from slimvec.probes.coverage.parts import Part, character_part, file_part, joined, measure_characters, named
from slimvec.probes.coverage.sentences_result import comparison_table, describe, language_table, metrics, script_plots
from slimvec.probes.coverage.tokenizer_probe import TokenizerProbe, measure_sentences
from slimvec.probes.page import result_blocks, settings_table
from slimvec.probes.protocol import ProbeConfig, read_methods
from slimvec.probes.results import ProbeResult
from slimvec.reports.blocks import Heading, write_pages
from slimvec.reports.parts import Table
from slimvec.text.coverage import CoverageMeter

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
    sources = read_methods()[TokenizerProbe.name].sources if config.folder(FOLDER) is not None else ()
    found = joined(list(_parts(backends, config)), probe="tokenizers", between="\n", sources=sources)
    return TokenizerReport(
        tokenizers=tuple(_card(name, backend) for name, backend in backends.items()),
        reading=found.model_copy(update={"seed": config.seed, "seconds": perf_counter() - start}),
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


def _parts(backends: Backends, config: ProbeConfig) -> Iterator[Part]:
    """Measure sentences and a user's file where they are at hand, and characters where neither is."""
    folder, seed, probe = config.folder(FOLDER), config.seed, TokenizerProbe()
    meters = {name: CoverageMeter(backend) for name, backend in backends.items()}
    if folder is not None:
        sentences, drawn = ParallelSentences.read(folder), config.count(probe.num_sentences)
        several = [measure_sentences(name, backend, sentences, drawn, seed) for name, backend in backends.items()]
        yield Part(
            read_methods()[probe.name].definition,
            "\n".join(map(describe, several)),
            [metric for measured in several for metric in named(metrics(measured), measured.name)],
            [*(comparison_table(figure, several) for figure in _COMPARED), *map(language_table, several)],
            script_plots(several),
            {"languages": len(sentences.texts), "sentences": several[0].sentences.num_sentences},
        )
    if config.text_file is not None:
        for name, meter in meters.items():
            yield file_part(meter, config.text_file, seed=seed).of(name)
    elif folder is None:
        most = config.count(probe.num_characters)
        found = {name: measure_characters(meter, most=most, seed=seed) for name, meter in meters.items()}
        parts = [character_part(own, most=most, seed=seed).of(name) for name, own in found.items()]
        means = [{script: values.mean(axis=0) for script, values in own.items()} for own in found.values()]
        rows = [(script, *(f"{own[script][0]:.1%} at {own[script][1]:.2f}" for own in means)) for script in means[0]]
        title = "Characters that survive, and tokens a character"
        shared = Table(title=title, header=("script", *found), rows=tuple(rows))
        yield from (replace(part, tables=[shared] if part is parts[0] else [], plots=[]) for part in parts)


def _card(name: str, backend: tokenizers.Tokenizer) -> TokenizerCard:
    digest = hashlib.sha256(backend.to_str().encode()).hexdigest()
    return TokenizerCard(name=name, vocabulary=backend.get_vocab_size(), sha256=digest)
