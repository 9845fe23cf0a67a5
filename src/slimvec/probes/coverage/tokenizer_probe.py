"""What can the tokenizer read, and does the model lose the languages that it reads badly?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import tokenizers

from slimvec.evaluation.cached_model import embedder_of
from slimvec.evaluation.endpoint import is_endpoint
from slimvec.evaluation.models import EvaluatedModel
from slimvec.model.tokenizer_sources import open_tokenizer
from slimvec.probes.coverage.bitext import bitext_part, find_counterparts
from slimvec.probes.coverage.counting import FOLDER, Measured, ParallelSentences
from slimvec.probes.coverage.parts import character_part, file_part, joined
from slimvec.probes.coverage.sentences_result import describe, language_table, metrics, script_plots, script_table
from slimvec.probes.protocol import ProbeConfig, answered, read_methods, skipped
from slimvec.probes.results import ProbeResult
from slimvec.text.coverage import CoverageMeter


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
    question: ClassVar[str] = "Which scripts and languages can the tokenizer read, and at what price?"

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
        with_sentences = config.folder(FOLDER) is not None
        found = joined(list(self._parts(model, backend, config)))
        more = {
            "remedies": read_methods()[self.name].remedies,
            "skipped": "" if with_sentences else f"sentences in many languages: --data has no {FOLDER}",
            "details": {"vocabulary": backend.get_vocab_size(), **found.details},
        }
        return found.model_copy(update=more)

    def _parts(
        self, model: EvaluatedModel, backend: tokenizers.Tokenizer, config: ProbeConfig
    ) -> Iterator[ProbeResult]:
        """Measure sentences and a user's file where they are at hand, and characters where neither is."""
        folder, seed, meter = config.folder(FOLDER), config.seed, CoverageMeter(backend)
        if folder is not None:
            sentences = ParallelSentences.read(folder)
            sample = sentences.sample(config.count(self.num_sentences), seed=seed)
            measured = Measured.of(model.card.name, backend, sample, seed=seed)
            yield answered(
                self,
                describe(measured),
                metrics(measured),
                tables=[script_table(measured), language_table(measured)],
                plots=script_plots([measured]),
                details={"sentences": sample.num_sentences, "languages": len(sample.texts)},
            )
            drawn = sentences.sample(
                config.count(self.num_candidates), num_languages=config.count(self.num_languages), seed=seed
            )
            num_queries = min(config.count(self.num_bitext_sentences), drawn.num_sentences)
            bitext = find_counterparts(model, drawn, config, num_queries=num_queries)
            yield bitext_part(self, bitext, drawn, measured, seed=seed)
        if config.text_file is not None:
            yield file_part(self, meter, config.text_file, seed=seed)
        elif folder is None:
            yield character_part(self, meter, most=config.count(self.num_characters), seed=seed)


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
