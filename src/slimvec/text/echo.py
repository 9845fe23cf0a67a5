"""Echo: a text is read twice in a row and its second copy is pooled (Springer et al. 2024, arXiv 2402.15449).

In a causal model the first tokens of a text see nothing of the rest. In its second copy every token has seen the whole
text once. No training is needed; it costs twice the tokens.
"""

from collections.abc import Sequence

from slimvec.errors import InputError
from slimvec.text.tokenizer import TokenizedTexts, Tokenizer

SEPARATOR = "\n"
"""Between the copies; tokenised alone."""


class EchoTokenizer(Tokenizer):
    """A tokenizer that writes every text twice.

    A sequence is [opening, prompt, text, separator, text, closing] with the same tokens in both copies; all that stands
    before the second copy counts as its prefix, so a pooling that leaves the prompt out pools that copy alone. Both
    copies are truncated alike where they do not fit the limit together. Arguments are those of `Tokenizer`.
    """

    def tokenize(self, texts: Sequence[str], *, prompt: str = "", first: int = 0) -> TokenizedTexts:
        """Tokenise texts, each twice behind the prompt; arguments and errors as for `Tokenizer`.

        Raises:
            InputError: the prompt leaves no room for two tokens of a text.
        """
        plain = super().tokenize(texts, prompt=prompt, first=first)
        separator: list[int] = self.backend.encode(SEPARATOR, add_special_tokens=False).ids
        num_opening = self._num_special - self.num_closing
        sequences, prefix_lengths, truncated = [], [], []
        for sequence, prefix, cut in zip(plain.sequences, plain.prefix_lengths, plain.truncated, strict=True):
            start, end = max(prefix, num_opening), len(sequence) - self.num_closing
            room = (self.max_tokens - start - len(separator) - self.num_closing) // 2
            if room < 1:
                raise InputError(
                    f"a prompt of {start} tokens leaves no room for a text twice", expected=f"{self.max_tokens} tokens"
                )
            copy = sequence[start : min(end, start + room)]
            sequences.append([*sequence[:start], *copy, *separator, *copy, *sequence[end:]])
            prefix_lengths.append(start + len(copy) + len(separator))
            truncated.append(cut or end - start > room)
        return TokenizedTexts(sequences, prefix_lengths, truncated)
