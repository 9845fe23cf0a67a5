"""`PackedBatch`: the only batch type there is. Texts lie end to end; nothing is ever padded.

Shapes: T tokens in all, B texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Tokens of B texts laid end to end.

    Attributes:
        input_ids: [T] int64.
        position_ids: [T] int64, restarting at 0 in each text.
        cu_seqlens: [B + 1] int32, where each text starts; the last entry is T.
        prefix_lengths: [B] int64, how many leading tokens of each text are its instruction.
        lengths: the B text lengths as Python integers, so that no device needs to be asked for them.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seqlens: Tensor
    prefix_lengths: Tensor
    lengths: tuple[int, ...]

    @classmethod
    def from_sequences(
        cls, sequences: Sequence[Sequence[int]], prefix_lengths: Sequence[int] | None = None
    ) -> "PackedBatch":
        """Pack token sequences.

        Args:
            sequences: B sequences of token ids, none empty.
            prefix_lengths: B instruction lengths; default all 0.

        Raises:
            ValueError: no sequence, an empty one, or prefix lengths that do not fit.
        """
        lengths = tuple(len(sequence) for sequence in sequences)
        if not lengths or min(lengths) == 0:
            raise ValueError(f"a batch needs at least one text and a token in each, got lengths {lengths}")
        prefixes = [0] * len(lengths) if prefix_lengths is None else list(prefix_lengths)
        if len(prefixes) != len(lengths) or any(not 0 <= p <= n for p, n in zip(prefixes, lengths, strict=True)):
            raise ValueError(f"prefix lengths {prefixes} do not fit text lengths {lengths}")
        flat = [token for sequence in sequences for token in sequence]
        positions = torch.cat([torch.arange(n) for n in lengths])
        return cls(
            input_ids=torch.tensor(flat, dtype=torch.int64),
            position_ids=positions,
            cu_seqlens=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
            prefix_lengths=torch.tensor(prefixes, dtype=torch.int64),
            lengths=lengths,
        )

    def choose(self, numbers: Sequence[int]) -> "PackedBatch":
        """Pack the texts with these numbers, in this order."""
        starts = list(accumulate(self.lengths, initial=0))
        ids, positions = (
            torch.cat([tokens[starts[number] : starts[number + 1]] for number in numbers])
            for tokens in (self.input_ids, self.position_ids)
        )
        lengths = tuple(self.lengths[number] for number in numbers)
        return PackedBatch(
            input_ids=ids,
            position_ids=positions,
            cu_seqlens=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=self.device),
            prefix_lengths=self.prefix_lengths[list(numbers)],
            lengths=lengths,
        )

    @property
    def num_texts(self) -> int:
        """B."""
        return len(self.lengths)

    @property
    def num_tokens(self) -> int:
        """T."""
        return self.input_ids.shape[0]

    @property
    def max_seqlen(self) -> int:
        """Tokens of the longest text."""
        return max(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.input_ids.device

    def text_ids(self) -> Tensor:
        """Number of the text each token belongs to: [T] int64."""
        lengths = (self.cu_seqlens[1:] - self.cu_seqlens[:-1]).long()
        return torch.repeat_interleave(
            torch.arange(self.num_texts, device=self.device), lengths, output_size=self.num_tokens
        )

    def pinned(self) -> "PackedBatch":
        """Copy the tensors to pinned memory, from which a GPU copies while it computes."""
        return PackedBatch(
            input_ids=self.input_ids.pin_memory(),
            position_ids=self.position_ids.pin_memory(),
            cu_seqlens=self.cu_seqlens.pin_memory(),
            prefix_lengths=self.prefix_lengths.pin_memory(),
            lengths=self.lengths,
        )

    def to(self, device: torch.device | str) -> "PackedBatch":
        """Move the tensors to a device, without waiting for the copy where the device allows it."""
        if torch.device(device) == self.device:
            return self
        return PackedBatch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            position_ids=self.position_ids.to(device, non_blocking=True),
            cu_seqlens=self.cu_seqlens.to(device, non_blocking=True),
            prefix_lengths=self.prefix_lengths.to(device, non_blocking=True),
            lengths=self.lengths,
        )


def plan_batches(lengths: Sequence[int], *, token_budget: int) -> list[list[int]]:
    """Deal texts into batches of at most `token_budget` tokens, longest first.

    Sorting puts near-equal lengths together, which attention over groups of equal length likes; going from long to
    short makes the largest need for memory come first. A text longer than the budget gets a batch of its own.

    Args:
        lengths: Tokens by text.
        token_budget: Most tokens in a batch.

    Returns:
        Text numbers by batch; every text exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    room = 0
    for index in order:
        if not batches or lengths[index] > room:
            batches.append([])
            room = token_budget
        batches[-1].append(index)
        room -= lengths[index]
    return batches
