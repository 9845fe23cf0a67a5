"""Answers of the language model, taken apart and checked: what passes becomes a record."""

import json
from typing import Literal

from slimvec.data.duplicates import NearDuplicateIndex
from slimvec.data.languages import judge_language
from slimvec.data.records import Record
from slimvec.data.synthesis.tasks import BITEXT_INSTRUCTION, STS_INSTRUCTION, Assignment
from slimvec.ranking.words import normal_form, split_tokens

Refusal = Literal["json", "fields", "length", "language", "copy", "duplicate"]
_MAX_INSTRUCTION_WORDS = 40
_LIMITS = {"short": (1, 60), "long": (30, 1500), "sentence": (2, 150)}
"""Fewest and most tokens (`ranking.words`) of a text: generous, as in some scripts every character is one."""


class AnswerError(ValueError):
    """An answer that cannot be used.

    Args:
        reason: Why.
        text: The answer, for the report.
    """

    def __init__(self, reason: Refusal, text: str) -> None:
        self.reason: Refusal = reason
        self.text = text
        super().__init__(reason)


def parse_instruction(answer: str) -> str:
    """Read the invented task out of an answer.

    Raises:
        AnswerError: there is none, or it is too long to be one.
    """
    (instruction,) = _fields(answer, ("instruction",))
    if not 2 <= len(split_tokens(instruction)) <= _MAX_INSTRUCTION_WORDS:
        raise AnswerError("length", answer)
    return " ".join(instruction.split())


def parse_sample(answer: str, assignment: Assignment, instruction: str) -> Record:
    """Read a sample out of an answer.

    Raises:
        AnswerError: no JSON, a field is missing, a text is too short or too long, in another language than asked
            for, or a copy of another.
    """
    names = ("query", "positive") if assignment.kind == "bitext" else ("query", "positive", "negative")
    texts = _fields(answer, names)
    if len({normal_form(text) for text in texts}) < len(texts):
        raise AnswerError("copy", answer)
    _check_lengths(texts, assignment, answer)
    _check_languages(texts, assignment, answer)
    task = {"sts": STS_INSTRUCTION, "bitext": BITEXT_INSTRUCTION}.get(assignment.kind, instruction)
    return Record(
        query=texts[0],
        positives=(texts[1],),
        negatives=tuple(texts[2:]),
        task=task,
        language=assignment.persona.language,
        source=f"synthetic-{assignment.kind}",
    )


class Novelty:
    """Tells samples that earlier ones do not repeat, exactly or nearly."""

    def __init__(self) -> None:
        self._queries: set[str] = set()
        self._near = NearDuplicateIndex(threshold=0.7)

    def admits(self, record: Record) -> bool:
        """Take in a sample, unless its query is known or its texts are nearly those of an earlier one."""
        key = normal_form(record.query)
        if key in self._queries or self._near.add(split_tokens(f"{record.query}\n{record.positives[0]}")) is not None:
            return False
        self._queries.add(key)
        return True


def _fields(answer: str, names: tuple[str, ...]) -> list[str]:
    """The texts of an answer's JSON object; what stands around it (a code fence, a greeting) is left alone."""
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode(
            answer, answer.index("{")
        )  # strict would refuse line breaks in texts
    except (ValueError, RecursionError) as error:
        raise AnswerError("json", answer) from error
    values = [found.get(name) if isinstance(found, dict) else None for name in names]
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(names) or not all(_is_writable(text) for text in texts):
        raise AnswerError("fields", answer)
    return texts


def _is_writable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _check_lengths(texts: list[str], assignment: Assignment, answer: str) -> None:
    first, _, second = assignment.kind.partition("-")
    sides = [first, second, second] if assignment.is_two_step else ["sentence"] * 3
    for text, side in zip(texts, sides, strict=False):
        low, high = _LIMITS[side]
        if not low <= len(split_tokens(text)) <= high:
            raise AnswerError("length", answer)


def _check_languages(texts: list[str], assignment: Assignment, answer: str) -> None:
    own = assignment.persona.language
    asked = [own, assignment.other_code or own, own]
    if any(judge_language(text, (code,)) == "contradicts" for text, code in zip(texts, asked, strict=False)):
        raise AnswerError("language", answer)
