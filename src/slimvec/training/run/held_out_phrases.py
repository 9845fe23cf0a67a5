"""A retrieval set made of texts alone: phrases of passages that are not trained on, asked for by those before them.

It says how well a model knows what belongs together in these texts, before and after it was adapted to them. Phrases
that ask and phrases that are found take turns in a passage, so that no query is a document.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimvec.data.retrieval import Document, Query, RetrievalSet
from slimvec.data.text_ids import text_id
from slimvec.errors import InputError
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.deals import shuffled
from slimvec.training.batches.passages import Passage, read_passages
from slimvec.training.recipe.objectives import NextPhrase
from slimvec.training.step.next_phrase import draw_phrases

SHARE = 0.1
"""Share of the passages that is held out, within the bounds below."""
FEWEST, MOST = 8, 80
"""Passages that are held out."""
FEWEST_TRAINED = 16
"""Passages that have to be left to learn from."""
NAME = "held-out phrases"


@dataclass(frozen=True)
class PhraseSplit:
    """Texts, parted.

    Attributes:
        training: Passages to train on.
        held_out: Phrases of the other passages.
    """

    training: tuple[str, ...]
    held_out: RetrievalSet


def hold_out_phrases(texts: Sequence[str], tokenizer: Tokenizer, settings: NextPhrase, *, seed: int) -> PhraseSplit:
    """Part texts into passages to train on and phrases to score on. Equal passages are taken once.

    Args:
        texts: Any length.
        tokenizer: The model's.
        settings: Lengths of passages and phrases.
        seed: Random seed for the choice.

    Raises:
        InputError: there is too little text.
    """
    most = min(settings.max_tokens, tokenizer.max_tokens)
    found = read_passages(texts, tokenizer, least=2 * settings.phrase_tokens[0], most=most)
    passages = list({text_id(_whole(passage)): passage for passage in found}.values())
    num_held = int(min(max(SHARE * len(passages), FEWEST), MOST))
    if len(passages) < num_held + FEWEST_TRAINED:
        raise InputError(
            f"{len(passages)} passages of at most {most} tokens in these documents",
            expected=f"at least {num_held + FEWEST_TRAINED}: {FEWEST_TRAINED} to learn from, {num_held} to score on",
            do="give more documents",
        )
    order = shuffled(np.arange(len(passages)), seed, "held-out phrases").tolist()
    training = tuple(_whole(passages[number]) for number in sorted(order[num_held:]))
    return PhraseSplit(training, _phrase_set([passages[number] for number in sorted(order[:num_held])], settings, seed))


def _whole(passage: Passage) -> str:
    """Give the text of a passage."""
    return passage.characters(0, len(passage)).strip()


def _phrase_set(passages: Sequence[Passage], settings: NextPhrase, seed: int) -> RetrievalSet:
    """Have every second phrase of each passage asked for by the one before it.

    Raises:
        InputError: no passage has two phrases.
    """
    documents: dict[int, Document] = {}
    queries: dict[int, Query] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number, passage in enumerate(passages):
        borders = draw_phrases(passage, settings, np.random.Generator(np.random.PCG64([seed, number]))).borders
        for start, middle, end in zip(borders[:-2:2], borders[1:-1:2], borders[2::2], strict=True):
            asked, found = passage.characters(start, middle).strip(), passage.characters(middle, end).strip()
            if not asked or not found:
                continue
            query = queries.setdefault(text_id(asked), Query(f"q{len(queries)}", asked))
            document = documents.setdefault(text_id(found), Document(f"d{len(documents)}", found))
            qrels.setdefault(query.id, {})[document.id] = 1
    return RetrievalSet(NAME, tuple(documents.values()), tuple(queries.values()), qrels)
