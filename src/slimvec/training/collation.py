"""From records to token sequences, and from vectors back to the batch an objective sees.

Letters: B pairs, N texts in all, D dims.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from slimvec.data.records import Record
from slimvec.objectives.batch import EmbeddedBatch
from slimvec.text.prompts import Prompts, Role
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer
from slimvec.training.text_ids import text_ids


@dataclass(frozen=True, eq=False)
class StepTexts:
    """All texts of a step: B queries, B positives, then the negatives pair by pair.

    Attributes:
        tokenized: N token sequences in that order.
        ids: [N] int64, equal for equal texts.
        negative_counts: By pair, how many negatives it has.
    """

    tokenized: TokenizedTexts
    ids: Tensor
    negative_counts: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.tokenized.lengths)

    def assemble(self, vectors: Tensor) -> EmbeddedBatch:
        """Sort the vectors of the texts, [N, D] in their order, into a batch. Gradients flow through.

        They are scaled to unit length here, for the models that leave it to their users.
        """
        vectors = F.normalize(vectors, dim=-1)
        pairs, most = len(self.negative_counts), max(self.negative_counts)
        query, positive, mined = vectors[:pairs], vectors[pairs : 2 * pairs], vectors[2 * pairs :]
        ids = {"query_ids": self.ids[:pairs], "positive_ids": self.ids[pairs : 2 * pairs]}
        ids = {name: tensor.to(vectors.device) for name, tensor in ids.items()}
        if not most:
            return EmbeddedBatch(query, positive, **ids)
        counts = torch.tensor(self.negative_counts)
        mask = torch.arange(most)[None, :] < counts[:, None]
        # Places without a negative point to the first one, and the mask hides them.
        places = torch.where(mask, torch.arange(most)[None, :] + (counts.cumsum(0) - counts)[:, None], 0)
        negative_ids = self.ids[2 * pairs :][places].to(vectors.device)
        mask, places = mask.to(vectors.device), places.to(vectors.device)
        return EmbeddedBatch(query, positive, mined[places], mask, negative_ids=negative_ids, **ids)


class Collator:
    """Writes prompts in front of texts and tokenises them.

    Args:
        tokenizer: The model's.
        prompts: The model's.
        max_query_tokens: Longest query, prompt included; at most the tokenizer's own limit counts.
        max_document_tokens: Longest document.
        max_negatives: Negatives used of each pair, the first ones.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompts: Prompts,
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        max_negatives: int,
    ) -> None:
        limits: dict[Role, int] = {"query": max_query_tokens, "document": max_document_tokens}
        self._tokenizers = {
            role: Tokenizer(tokenizer.backend, max_tokens=min(limit, tokenizer.max_tokens))
            for role, limit in limits.items()
        }
        self._prompts = prompts
        self._max_negatives = max_negatives

    def __call__(self, records: Sequence[Record], *, epoch: int) -> StepTexts:
        """Tokenise the texts of B records.

        Args:
            records: The batch. Of several positives, each epoch takes the next one.
            epoch: Number of the epoch.

        Raises:
            InputError: a text without tokens, or a task that is not known.
        """
        mined = [record.negatives[: self._max_negatives] for record in records]
        documents = [(r.positives[epoch % len(r.positives)], r.task) for r in records]
        documents += [(text, r.task) for r, texts in zip(records, mined, strict=True) for text in texts]
        queries = [(record.query, record.task) for record in records]
        parts = [self._tokenize("query", queries), self._tokenize("document", documents)]
        return StepTexts(
            tokenized=TokenizedTexts(
                [sequence for part in parts for sequence in part.sequences],
                [length for part in parts for length in part.prefix_lengths],
                [cut for part in parts for cut in part.truncated],
            ),
            ids=torch.tensor(text_ids(text for text, _ in [*queries, *documents]), dtype=torch.int64),
            negative_counts=tuple(len(texts) for texts in mined),
        )

    def _tokenize(self, role: Role, texts: Sequence[tuple[str, str | None]]) -> TokenizedTexts:
        """Tokenise (text, task) pairs, those of one prompt together, and give them in their own order."""
        by_prompt: dict[str, list[int]] = {}
        for number, (_, task) in enumerate(texts):
            by_prompt.setdefault(self._prompts.render(role, task), []).append(number)
        found: dict[int, tuple[list[int], int, bool]] = {}
        for prompt, numbers in by_prompt.items():
            part = self._tokenizers[role].tokenize([texts[n][0] for n in numbers], prompt=prompt)
            rows = zip(part.sequences, part.prefix_lengths, part.truncated, strict=True)
            found.update(zip(numbers, rows, strict=True))
        rows_in_order = [found[number] for number in range(len(texts))]
        return TokenizedTexts(*(list(column) for column in zip(*rows_in_order, strict=True)))
