"""What can the tokenizer read, and does the model lose the languages that it reads badly?"""

from dataclasses import dataclass, field
from typing import ClassVar

import tokenizers

from slimvec.evaluation.cached_model import embedder_of
from slimvec.evaluation.endpoint import is_endpoint
from slimvec.evaluation.models import EvaluatedModel
from slimvec.model.tokenizer_sources import open_tokenizer
from slimvec.probes.coverage.answers import describe
from slimvec.probes.coverage.bitext import (
    RELATED,
    accuracy_measures,
    describe_bitext,
    find_counterparts,
    relation_measure,
    relation_plot,
)
from slimvec.probes.coverage.characters import (
    DEFINITION,
    character_measures,
    character_plot,
    character_table,
    describe_characters,
    measure_characters,
)
from slimvec.probes.coverage.counting import FERTILITY, count_tokens, estimate
from slimvec.probes.coverage.layout import Measured, language_table, measures, script_plots, script_table
from slimvec.probes.coverage.lines import describe_file, file_measures, file_tables, measure_file
from slimvec.probes.coverage.sentences import FOLDER, ParallelSentences
from slimvec.probes.protocol import ProbeConfig, skipped
from slimvec.probes.results import Metric, ProbeResult
from slimvec.reports.parts import Plot, Table
from slimvec.text.coverage import CoverageMeter

QUESTION = "Which scripts and languages can the tokenizer read, and at what price?"
SENTENCES = (
    "The same sentences in every language (SIB-200) are turned into tokens and back, without special tokens. Coverage: "
    "share of the characters that come back, white space aside and after NFKD and case folding, so that a tokenizer "
    "which writes small letters loses nothing and one which drops accents or vowel signs does. Exact round trip: the "
    "sentence comes back as it was. Round trip after normalising: as the tokenizer's own normaliser writes it, white "
    "space aside. Unknown tokens, and pieces of characters (single bytes and other parts of one): shares "
    "of the tokens. Fertility: tokens over those of the same sentences in English. Intervals are a bootstrap over the "
    "sentences, the same for all languages; scripts are means over their languages."
)
BITEXT = (
    " Bitext: the nearest English sentence by cosine, among {candidates}, to each of {queries} sentences a language; "
    "its accuracy by language is set against the tokenizer's figures by rank (Spearman, bootstrap over languages). "
    "Names and numbers are shared by languages, so BM25 over the same sentences is the floor of both. "
    "That is no proof of cause: what a tokenizer reads badly, its model has mostly seen little of."
)
SOURCES = (
    "SIB-200 (Adelani et al. 2024, arXiv 2309.07445), sentences of FLORES-200 (arXiv 2207.04672)",
    "Fertility and its price: Petrov et al. 2023, arXiv 2305.15425; Ahia et al. 2023, arXiv 2305.13707",
)
REMEDIES = (
    "Another base, whose tokenizer reads the script: `slimvec tokenizers A B --data FOLDER` compares them.",
    "`slimvec embed --min-coverage 0.95` names texts that the model cannot read instead of embedding them.",
)


@dataclass
class _Parts:
    """What is gathered for a result."""

    answers: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    measures: list[Metric] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    details: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenizerProbe:
    """What the tokenizer can read.

    Attributes:
        num_sentences: Sentences turned into tokens, in each of the languages; all that SIB-200's test part has.
        num_bitext_sentences: Sentences looked for in each language; a language's own accuracy is then rough, and what
            is asked for is the relation over two hundred of them. More would cost more than the whole of this probe's
            share of twenty minutes.
        num_candidates: English sentences they are looked for among, so that chance is one in a hundred.
        num_languages: Languages beside English whose sentences are looked for.
        num_characters: Characters drawn from a script where there are no sentences.
    """

    num_sentences: int = 204
    num_bitext_sentences: int = 14
    num_candidates: int = 100
    num_languages: int = 204
    num_characters: int = 200
    name: ClassVar[str] = "tokenizer"
    question: ClassVar[str] = QUESTION

    def run(self, model: EvaluatedModel, config: ProbeConfig) -> ProbeResult:
        """Put the question to a model.

        Raises:
            InputError: the sentences or the user's file are malformed.
            ModelError: the model has no tokenizer that can be read.
            FetchError: it has to be fetched and cannot be.
        """
        backend = find_tokenizer(model, config)
        if backend is None:
            return skipped(self, f"{model.card.name} does not show its tokenizer; name a folder or a hub name")
        meter, parts = CoverageMeter(backend), _Parts()
        parts.details["vocabulary"] = backend.get_vocab_size()
        folder = config.folder(FOLDER)
        if folder is not None:
            sentences = ParallelSentences.read(folder)
            measured = measure_sentences(
                model.card.name, backend, sentences, config.count(self.num_sentences), config.seed
            )
            self._add_sentences(measured, parts)
            self._add_bitext(model, sentences, measured, config, parts)
        if config.text_file is not None:
            _add_file(meter, config, parts)
        if folder is None and config.text_file is None:
            _add_characters(meter, config.count(self.num_characters), config.seed, parts)
        return ProbeResult(
            probe=self.name,
            question=self.question,
            definition=" ".join(parts.definitions),
            sources=SOURCES if folder is not None else (),
            answer=" ".join(parts.answers),
            measures=tuple(parts.measures),
            tables=tuple(parts.tables),
            plots=tuple(parts.plots),
            remedies=REMEDIES,
            skipped="" if folder is not None else f"sentences in many languages: --data has no {FOLDER}",
            details=parts.details,
        )

    def _add_sentences(self, measured: Measured, parts: _Parts) -> None:
        parts.answers.append(describe(measured))
        parts.definitions.append(SENTENCES)
        parts.measures += measures(measured)
        parts.tables += [script_table(measured), language_table(measured)]
        parts.plots += script_plots([measured])
        parts.details |= {"sentences": measured.sentences.num_sentences, "languages": len(measured.sentences.texts)}

    def _add_bitext(
        self,
        model: EvaluatedModel,
        sentences: ParallelSentences,
        measured: Measured,
        config: ProbeConfig,
        parts: _Parts,
    ) -> None:
        """Look for the English counterparts, and set that against the figures of the tokenizer."""
        drawn = sentences.sample(
            config.count(self.num_candidates), num_languages=config.count(self.num_languages), seed=config.seed
        )
        num_queries = min(config.count(self.num_bitext_sentences), drawn.num_sentences)
        bitext = find_counterparts(model, drawn, config, num_queries=num_queries)
        accuracy = accuracy_measures(bitext, drawn, seed=config.seed)
        found = [
            relation_measure(figure, bitext, measured.sentences, measured.estimates[figure.name], seed=config.seed)
            for figure in RELATED
        ]
        related = [measure for measure in found if measure is not None]
        parts.measures += [*related, *accuracy]
        parts.answers.append(describe_bitext(accuracy[0], related, bitext))
        parts.definitions.append(BITEXT.format(candidates=bitext.num_candidates, queries=num_queries).strip())
        parts.plots.append(relation_plot(bitext, measured.sentences, measured.estimates[FERTILITY.name]))


def find_tokenizer(model: EvaluatedModel, config: ProbeConfig) -> tokenizers.Tokenizer | None:
    """Give a model's tokenizer; None where it is a server's, or a model in memory without one.

    Raises:
        ModelError: the model has no tokenizer that can be read.
        FetchError: it has to be fetched and cannot be.
    """
    embedder = embedder_of(model)
    if embedder is not None:
        return embedder.tokenizer.backend
    if not config.source or is_endpoint(config.source):
        return None
    return open_tokenizer(config.source, revision=model.card.revision)


def measure_sentences(
    name: str, backend: tokenizers.Tokenizer, sentences: ParallelSentences, num_sentences: int, seed: int
) -> Measured:
    """Measure a tokenizer on the same sentences in every language.

    Args:
        name: Name of the tokenizer.
        backend: It.
        sentences: All there are.
        num_sentences: How many are drawn.
        seed: Random seed for the draw and the bootstrap.
    """
    drawn = sentences.sample(num_sentences, seed=seed)
    counts = count_tokens(CoverageMeter(backend), drawn)
    return Measured(name, backend.get_vocab_size(), drawn, estimate(counts, seed=seed))


def _add_file(meter: CoverageMeter, config: ProbeConfig, parts: _Parts) -> None:
    assert config.text_file is not None
    texts, found = measure_file(meter, config.text_file)
    added = file_measures(texts, found, seed=config.seed)
    parts.answers.append(describe_file(config.text_file, added, found))
    parts.definitions.append("The file's texts are measured likewise, by script; intervals are over the texts.")
    parts.measures += added
    parts.tables += file_tables(texts, found)


def _add_characters(meter: CoverageMeter, most: int, seed: int, parts: _Parts) -> None:
    found = measure_characters(meter, most=most, seed=seed)
    added = character_measures(found, seed=seed)
    parts.answers.append(describe_characters(added, found))
    parts.definitions.append(DEFINITION.format(most=most))
    parts.measures += added
    parts.tables.append(character_table(found))
    parts.plots.append(character_plot(found))
