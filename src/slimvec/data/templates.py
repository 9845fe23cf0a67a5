"""Sentences from templates: what one says, the same said otherwise, and what its words say in another order or negated.

A file of templates is YAML for one language: lists of words, and templates by kind whose slots are filled from them.
Every filling of a template is a correct sentence, so that a few lines give thousands of items.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from slimvec.errors import InputError
from slimvec.frozen import Frozen
from slimvec.yaml_files import read_own_yaml

Kind = Literal["role swap", "direction", "before and after", "cause", "comparison", "number swap", "negation"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What is exchanged: who does it and to whom; where from and where to; what came first; cause and effect; the sides of
a comparison; two numbers. Or the sentence, or which part of it, is denied."""

Word = str | Mapping[str, str]
"""A word, or its forms by name: a template takes one as `{slot[form]}`."""


@dataclass(frozen=True, slots=True)
class Triplet:
    """A filled template.

    Attributes:
        kind: What tells the negative from the anchor.
        language: Code.
        template: Name of the template; items of one template are much alike.
        anchor: A sentence.
        paraphrase: The same, said otherwise.
        negative: Another statement, with the anchor's words in another order (negations may add one).
    """

    kind: Kind
    language: str
    template: str
    anchor: str
    paraphrase: str
    negative: str


class Template(Frozen):
    """A sentence with open places.

    Attributes:
        slots: By place, the list that fills it. Two places of one list never hold the same word.
        anchor: Format string over the slots.
        paraphrase: Likewise.
        negative: Likewise.
    """

    slots: dict[str, str] = Field(min_length=1)
    anchor: str
    paraphrase: str
    negative: str


class Templates(Frozen):
    """The templates of a language.

    Attributes:
        language: Code.
        words: Lists of words by name.
        templates: By kind.
    """

    language: str
    words: dict[str, tuple[Word, ...]]
    templates: dict[Kind, tuple[Template, ...]]

    @model_validator(mode="after")
    def _fillable(self) -> Self:
        for kind, templates in self.templates.items():
            for template in templates:
                self._check(kind, template)
        return self

    @classmethod
    def read(cls, package: str, language: str, *, known: Sequence[str]) -> Self:
        """Read the file `LANGUAGE.yaml` that a package carries.

        Args:
            package: Its name.
            language: Code.
            known: Languages there are files of.

        Raises:
            InputError: the language is none of them.
        """
        if language not in known:
            raise InputError(f"no templates in {language!r}", expected=f"one of {', '.join(known)}")
        return cls.model_validate(read_own_yaml(package, f"{language}.yaml"))

    def named(self) -> dict[str, tuple[Kind, Template]]:
        """Give all templates by name: language, kind and number within the kind."""
        return {
            f"{self.language}/{kind}/{number}": (kind, template)
            for kind, templates in self.templates.items()
            for number, template in enumerate(templates, start=1)
        }

    def num_fillings(self, template: Template) -> int:
        """Count the different fillings of a template."""
        total, left = 1, {name: len(words) for name, words in self.words.items()}
        for name in template.slots.values():
            total *= left[name]
            left[name] -= 1
        return total

    def draw(self, name: str, count: int, *, seed: int) -> list[Triplet]:
        """Fill a template differently so many times, or in all ways if there are fewer.

        The same seed draws the same items.
        """
        kind, template = self.named()[name]
        total = self.num_fillings(template)
        numbers = random.Random(f"{seed}/{name}").sample(range(total), min(count, total))
        return [self._fill(name, kind, template, number) for number in numbers]

    def _fill(self, name: str, kind: Kind, template: Template, number: int) -> Triplet:
        """Fill a template in one of its ways, by its number."""
        left = {words: list(self.words[words]) for words in template.slots.values()}
        chosen: dict[str, Any] = {}
        for slot, words in template.slots.items():
            number, place = divmod(number, len(left[words]))
            chosen[slot] = left[words].pop(place)
        texts = (template.anchor, template.paraphrase, template.negative)
        return Triplet(kind, self.language, name, *(_sentence(text.format(**chosen)) for text in texts))

    def _check(self, kind: Kind, template: Template) -> None:
        """See that every word fits the template.

        Raises:
            ValueError: a list or a form that is missing, too few words, or a negative or paraphrase that is the anchor.
        """
        unknown = set(template.slots.values()) - self.words.keys()
        if unknown:
            raise ValueError(f"{kind}: no list of words {min(unknown)!r} for {template.anchor!r}")
        if not self.num_fillings(template):
            raise ValueError(f"{kind}: too few words for {template.anchor!r}")
        unused = next((slot for slot in template.slots if f"{{{slot}" not in template.anchor), None)
        if unused is not None:  # different fillings would give one anchor
            raise ValueError(f"{kind}: {template.anchor!r} has no place for {unused}")
        others = {slot: self.words[words][0] for slot, words in template.slots.items()}
        for slot, words in template.slots.items():
            for word in self.words[words]:
                _check_filling(template, others | {slot: word})
        first = self._fill("first", kind, template, 0)
        if len({first.anchor, first.paraphrase, first.negative}) < 3:
            raise ValueError(f"{kind}: {template.anchor!r} is its own paraphrase or negative")


def _check_filling(template: Template, chosen: Mapping[str, Word]) -> None:
    """See that the words have the forms that a template asks for.

    Raises:
        ValueError: one has not.
    """
    for text in (template.anchor, template.paraphrase, template.negative):
        try:
            filled = text.format(**chosen)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{text!r} cannot be filled with {dict(chosen)}: {error}") from None
        if "{" in filled:
            raise ValueError(f"{text!r} takes a word that has forms as a whole")


def _sentence(text: str) -> str:
    """Let a sentence begin with a capital."""
    return text[0].upper() + text[1:]
