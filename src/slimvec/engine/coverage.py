"""Whether a model's tokenizer can read what it is given, asked before vectors are believed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from slimvec.errors import InputError
from slimvec.text.coverage import CoverageMeter, TextCoverage
from slimvec.text.scripts import main_script
from slimvec.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from slimvec.engine.embedder import Embedder

_TEXTS_AT_ONCE = 1024
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class CoverageCheck:
    """Texts held against a limit.

    Attributes:
        min_coverage: Share of a text's characters that shall come back from its tokens.
        num_texts: Texts looked at.
        num_low: Those below the limit.
        lowest: Share of the one that the tokenizer reads worst, the first of several.
        place: Where that one stands.
        text: It.
        piece_share: Share of all tokens that are single bytes or other pieces of characters.
    """

    min_coverage: float
    num_texts: int
    num_low: int
    lowest: float
    place: str
    text: str
    piece_share: float

    @property
    def found(self) -> str:
        """What is wrong, in a line; names the worst text and its script."""
        script = main_script(self.text) or "no script"
        return (
            f"{self.place} ({self.text[:_SHOWN]!r}, {script}): {self.lowest:.1%} of its characters come back from the "
            f"model's tokenizer; {self.num_low:,} of {self.num_texts:,} texts are below {self.min_coverage:.1%}"
        )

    def error(self, do: str) -> InputError:
        """The error of texts below the limit.

        Args:
            do: What the reader can do.
        """
        return InputError(self.found, expected=f"at least {self.min_coverage:.1%} of every text", do=do)


def check_texts(tokenizer: Tokenizer, texts: Iterable[tuple[str, str]], *, min_coverage: float) -> CoverageCheck:
    """Hold texts against a limit, without running a model.

    Args:
        tokenizer: The model's.
        texts: Any number of places and texts; they are read once, a block at a time.
        min_coverage: Share of a text's characters that shall come back from its tokens, 0 to 1.

    Raises:
        InputError: the limit is no share, or there are no texts.
    """
    if not 0 <= min_coverage <= 1:
        raise InputError(f"min_coverage {min_coverage}", expected="a share from 0 to 1")
    meter = CoverageMeter(tokenizer.backend)
    lowest, worst = 2.0, ("", "")
    num_texts = num_low = num_tokens = num_pieces = 0
    for block in _blocks(texts):
        for item, found in zip(block, meter.measure([text for _, text in block]), strict=True):
            num_texts += 1
            num_low += found.share < min_coverage
            num_tokens += found.num_tokens
            num_pieces += found.num_pieces
            if found.share < lowest:
                lowest, worst = found.share, item
    if num_texts == 0:
        raise InputError("no texts", expected="at least one")
    return CoverageCheck(min_coverage, num_texts, num_low, lowest, *worst, num_pieces / max(1, num_tokens))


def coverage(embedder: "Embedder", texts: Sequence[str]) -> list[TextCoverage]:
    """Measure how much of each text the model's tokenizer carries; no model is run.

    Args:
        embedder: The model.
        texts: N texts. None may be empty.

    Raises:
        InputError: a text is not a string, or empty.
    """
    embedder.tokenizer.check(texts)
    return CoverageMeter(embedder.tokenizer.backend).measure(texts)


def check_coverage(embedder: "Embedder", texts: Sequence[str], *, min_coverage: float = 0.95) -> CoverageCheck:
    """Refuse texts that the model's tokenizer cannot read; no model is run.

    Args:
        embedder: The model.
        texts: N texts. None may be empty.
        min_coverage: Share of a text's characters that shall come back from its tokens. The default leaves room for a
            rare character in a sentence, and for none of its words to be lost.

    Returns:
        What was found, where all is well.

    Raises:
        InputError: a text is below the limit (the worst is named, with its script), is not a string, or empty.
    """
    embedder.tokenizer.check(texts)
    places = (f"text {number}" for number in range(len(texts)))
    check = check_texts(embedder.tokenizer, zip(places, texts, strict=True), min_coverage=min_coverage)
    if check.num_low:
        raise check.error("leave such texts out, or choose a model whose tokenizer reads the script")
    return check


def _blocks(texts: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    remaining = iter(texts)
    while block := list(islice(remaining, _TEXTS_AT_ONCE)):
        yield block
