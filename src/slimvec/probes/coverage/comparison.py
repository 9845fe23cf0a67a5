"""Several tokenizers side by side, without their models: a result of all of them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import tokenizers

from slimvec.errors import InputError
from slimvec.evaluation.results import package_versions
from slimvec.frozen import Frozen, Stored
from slimvec.probes.coverage.answers import describe
from slimvec.probes.coverage.characters import (
    DEFINITION,
    character_measures,
    describe_characters,
    measure_characters,
)
from slimvec.probes.coverage.counting import CHARACTERS, COVERAGE, EXACT, FERTILITY, PIECES, UNKNOWN
from slimvec.probes.coverage.layout import Measured, comparison_table, language_table, measures, script_plots
from slimvec.probes.coverage.lines import describe_file, file_measures, file_tables, measure_file
from slimvec.probes.coverage.sentences import FOLDER, ParallelSentences
from slimvec.probes.coverage.tokenizer_probe import QUESTION, SENTENCES, SOURCES, TokenizerProbe, measure_sentences
from slimvec.probes.protocol import ProbeConfig
from slimvec.probes.results import Metric, ProbeResult
from slimvec.reports.parts import Table
from slimvec.text.coverage import CoverageMeter

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
    folder, probe = config.folder(FOLDER), TokenizerProbe()
    parts: list[ProbeResult] = []
    if folder is not None:
        sentences = ParallelSentences.read(folder)
        drawn = config.count(probe.num_sentences)
        parts.append(
            _on_sentences([measure_sentences(name, b, sentences, drawn, config.seed) for name, b in backends.items()])
        )
    if config.text_file is not None:
        parts.append(_on_file(backends, config.text_file, config.seed))
    if not parts:
        parts.append(_on_characters(backends, config.count(probe.num_characters), config.seed))
    return TokenizerReport(
        tokenizers=tuple(_card(name, backend) for name, backend in backends.items()),
        reading=_joined(parts).model_copy(update={"seed": config.seed, "seconds": perf_counter() - start}),
        amount=config.amount,
        seed=config.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=package_versions(),
    )


def _on_sentences(several: Sequence[Measured]) -> ProbeResult:
    return ProbeResult(
        probe="tokenizers",
        question=QUESTION,
        definition=SENTENCES,
        sources=SOURCES,
        answer="\n".join(describe(measured) for measured in several),
        measures=tuple(m for measured in several for m in _named(measures(measured), measured.name)),
        tables=(
            *(comparison_table(figure, several) for figure in _COMPARED),
            *(language_table(measured) for measured in several),
        ),
        plots=script_plots(several),
        details={"languages": len(several[0].sentences.texts), "sentences": several[0].sentences.num_sentences},
    )


def _on_file(backends: Backends, path: Path, seed: int) -> ProbeResult:
    answers, found_measures, tables = [], list[Metric](), list[Table]()
    for name, backend in backends.items():
        texts, found = measure_file(CoverageMeter(backend), path)
        own = file_measures(texts, found, seed=seed)
        answers.append(f"{name}: {describe_file(path, own, found)}")
        found_measures += _named(own, name)
        tables += [table.model_copy(update={"title": f"{name}: {table.title}"}) for table in file_tables(texts, found)]
    return ProbeResult(
        probe="tokenizers",
        question=QUESTION,
        definition="The file's texts are measured by script; intervals are over the texts.",
        answer="\n".join(answers),
        measures=tuple(found_measures),
        tables=tuple(tables),
    )


def _on_characters(backends: Backends, most: int, seed: int) -> ProbeResult:
    found = {name: measure_characters(CoverageMeter(b), most=most, seed=seed) for name, b in backends.items()}
    own = {name: character_measures(rows, seed=seed) for name, rows in found.items()}
    scripts = next(iter(found.values()))
    rows = []
    for script in scripts:
        means = [values[script].mean(axis=0) for values in found.values()]
        rows.append((script, *(f"{survive:.1%} at {tokens:.2f}" for survive, tokens in means)))
    return ProbeResult(
        probe="tokenizers",
        question=QUESTION,
        definition=DEFINITION.format(most=most),
        answer="\n".join(f"{name}: {describe_characters(own[name], found[name])}" for name in found),
        measures=tuple(m for name in found for m in _named(own[name], name)),
        tables=(
            Table(
                title="Characters that survive, and tokens a character",
                header=("script", *found),
                rows=tuple(rows),
            ),
        ),
    )


def _named(found: Sequence[Metric], name: str) -> list[Metric]:
    """Put a tokenizer's name behind the first part of the measures' names."""
    renamed = []
    for measure in found:
        figure, rest = measure.name.split("/", 1)
        renamed.append(measure.model_copy(update={"name": f"{figure}/{name}/{rest}"}))
    return renamed


def _joined(parts: Sequence[ProbeResult]) -> ProbeResult:
    """Make one result of several about different texts."""
    return parts[0].model_copy(
        update={
            "definition": " ".join(part.definition for part in parts),
            "answer": "\n".join(part.answer for part in parts),
            "measures": tuple(measure for part in parts for measure in part.measures),
            "tables": tuple(table for part in parts for table in part.tables),
        }
    )


def _card(name: str, backend: tokenizers.Tokenizer) -> TokenizerCard:
    digest = hashlib.sha256(backend.to_str().encode()).hexdigest()
    return TokenizerCard(name=name, vocabulary=backend.get_vocab_size(), sha256=digest)
