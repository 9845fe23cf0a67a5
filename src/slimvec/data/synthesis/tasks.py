"""The six kinds of task and what the language model is asked for each.

Four pair texts by length (short-long, long-short, short-short, long-long) and take two steps: first the model invents a
retrieval task that a persona would have, then samples of it (arXiv 2401.00368, section 3.1). Similarity (STS) and
translation pairs (bitext) need no invented task and take one step. KaLM-Embedding (arXiv 2501.01028) adds the persona.
"""

import random
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, model_validator

from slimvec.errors import InputError
from slimvec.frozen import Frozen, checked
from slimvec.yaml_files import read_own_yaml, read_yaml_file

TaskType = Literal["short-long", "long-short", "short-short", "long-long", "sts", "bitext"]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
STS_INSTRUCTION = "Find the sentence that means the same"
BITEXT_INSTRUCTION = "Find the translation of the text"
_SIDES = {
    "short-long": ("a query of at most twenty words", "a document of 80 to 300 words"),
    "long-short": ("a text of 80 to 300 words", "a short text of at most fifteen words, such as a title or a verdict"),
    "short-short": ("a phrase or sentence of at most twenty words", "another one of at most twenty words"),
    "long-long": ("a text of 80 to 300 words", "another text of 80 to 300 words"),
}
_EXAMPLES = {
    "short-long": "Given a question on garden pests, find advice that answers it",
    "long-short": "Given a patient's report, find the field of medicine it belongs to",
    "short-short": "Given the name of a tool, find what else it is called",
    "long-long": "Given a court ruling, find rulings on like cases",
}
_DIFFICULTY = ("schoolchildren", "interested laypeople", "professionals")
_STYLE = (
    "plain and matter-of-fact",
    "colloquial",
    "terse",
    "elaborate",
    "a little imprecise, as people write in haste",
)
_ANSWER = "Answer with one JSON object and nothing else"


class Persona(Frozen):
    """A person in a few words.

    Attributes:
        persona: Who, with trade and situation.
        language: Code of the language that the person writes in.
    """

    persona: str = Field(min_length=1)
    language: str


class Personas(Frozen):
    """Personas and the languages they write in.

    Attributes:
        languages: English name by code.
        personas: At least one; each in one of the languages.
    """

    languages: dict[str, str]
    personas: tuple[Persona, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _languages_are_named(self) -> "Personas":
        unnamed = {persona.language for persona in self.personas} - self.languages.keys()
        if unnamed:
            raise ValueError(f"languages has no name for {min(unnamed)}")
        return self

    def only(self, languages: tuple[str, ...]) -> "Personas":
        """Keep the personas that write in some languages; with none named, all.

        Raises:
            InputError: no persona writes in one of them.
        """
        for language in languages:
            if not any(persona.language == language for persona in self.personas):
                raise InputError(
                    f"no persona writes in {language}",
                    expected=f"one of {', '.join(sorted({persona.language for persona in self.personas}))}",
                )
        kept = tuple(persona for persona in self.personas if not languages or persona.language in languages)
        return Personas(languages=self.languages, personas=kept)


def read_personas(path: Path | None = None) -> Personas:
    """Read personas from a YAML file with `languages` and `personas`; default slimvec's own.

    Raises:
        InputError: the file is missing, is no YAML or does not hold personas.
    """
    if path is None:
        return Personas.model_validate(read_own_yaml(__package__, "personas.yaml"))
    with checked(f"{path}: ", expected="languages and personas"):
        return Personas.model_validate(read_yaml_file(path, "a YAML file of personas"))


class Assignment(Frozen):
    """One sample to be written.

    Attributes:
        number: Number of the sample; decides every random choice in it.
        kind: Kind of the task.
        persona: In whose voice.
        language: Name of the language to write in.
        other_code: For bitext, the code of the language translated into; else empty.
        other_language: Its name.
        seed: Random seed for the run.
    """

    number: int
    kind: TaskType
    persona: Persona
    language: str
    other_code: str = ""
    other_language: str = ""
    seed: int = 0

    @property
    def is_two_step(self) -> bool:
        """Whether the task is invented first."""
        return self.kind in _SIDES


def instruction_messages(assignment: Assignment) -> list[dict[str, str]]:
    """Ask for a task that the persona would have."""
    first, second = _SIDES[assignment.kind]
    request = (
        f"Think of a text retrieval task that would be of use to you. What is searched with is {first}; what is to be "
        f"found is {second}. Describe the task in one English sentence of at most twenty words, like this one: "
        f'"{_EXAMPLES[assignment.kind]}". Choose another subject, close to your own life. {_ANSWER}: '
        '{"instruction": "..."}'
    )
    return _messages(assignment, request)


def sample_messages(assignment: Assignment, instruction: str) -> list[dict[str, str]]:
    """Ask for a sample: of the invented task, of similar sentences, or of a translation.

    Args:
        assignment: The sample.
        instruction: Instruction of a two-step task; of no meaning for the others.
    """
    draw = random.Random(f"{assignment.seed}/{assignment.number}")
    manner = f"Write for {draw.choice(_DIFFICULTY)}; the style is {draw.choice(_STYLE)}."
    if assignment.kind == "sts":
        request = (
            f"Write three sentences in {assignment.language} on something from your day. The second says the same as "
            "the first in other words; the third shares words with the first and says something else. "
            f'{manner} {_ANSWER}: {{"query": first, "positive": second, "negative": third}}'
        )
    elif assignment.kind == "bitext":
        request = (
            f"Write one to three sentences in {assignment.language} on something from your day, then their faithful "
            f"translation into {assignment.other_language}. {manner} "
            f'{_ANSWER}: {{"query": original, "positive": translation}}'
        )
    else:
        first, second = _SIDES[assignment.kind]
        request = (
            f'The task is: "{instruction}". Write one sample of it in {assignment.language}: "query" is {first}; '
            f'"positive" is {second} and is what the task is looking for; "negative" is of the same kind, '
            "looks right at first sight because it shares its subject and words, and is wrong. Do not copy the query "
            f'into them. {manner} {_ANSWER}: {{"query": "...", "positive": "...", "negative": "..."}}'
        )
    return _messages(assignment, request)


def _messages(assignment: Assignment, request: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": f"You are {assignment.persona.persona}."},
        {"role": "user", "content": request},
    ]
