"""Prompts by role and task. They belong to the model, are stored with it, and are part of every result.

The default instruction form follows KaLM-Embedding and E5-Mistral (arXiv 2401.00368): the task is described to the
query side only. It ends in a line break because no tokenizer we serve merges a line break with the word after it, so
the instruction's tokens are the same whatever text follows.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import field_validator

from slimvec.errors import InputError
from slimvec.frozen import Frozen

Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")

RETRIEVAL = "Given a question or a short description, find the text that it is about"


class Task(Frozen):
    """An instruction a model knows by name.

    Attributes:
        instruction: One sentence, written into the role's template where it says `{task}`.
        symmetric: Both sides are alike (STS, paraphrases): no prompt on either, as in KaLM-Embedding.
    """

    instruction: str
    symmetric: bool = False


class Prompts(Frozen):
    """What is written in front of a text, by role and task.

    Attributes:
        query: Template of the query side; `{task}` stands for the instruction. Empty means no prompt.
        document: Template of the document side.
        tasks: Instructions by name.
        default_task: The task when none is asked for.
        named: Whole prompts by name, of models that others made: asked for as a task, they stand for the role's.
        literal: The templates have no place for an instruction, so that a `{task}` in them is text.
    """

    query: str = ""
    document: str = ""
    tasks: Mapping[str, Task] = {"retrieval": Task(instruction=RETRIEVAL)}
    default_task: str = "retrieval"
    named: Mapping[str, str] = {}
    literal: bool = False

    @field_validator("tasks")
    @classmethod
    def _names_have_no_spaces(cls, tasks: Mapping[str, Task]) -> Mapping[str, Task]:
        for name in tasks:
            if not name or " " in name:
                raise ValueError(f"task name {name!r} must be one word")
        return tasks

    def render(self, role: Role, task: str | None = None) -> str:
        """Give the prompt for a role.

        Args:
            role: `query` or `document`.
            task: A task's name, the name of a whole prompt, or a whole instruction (anything with a space in it).
                Default: the default task.

        Raises:
            InputError: a role or a task name that is not known, or an instruction that no prompt has a place for.
        """
        if role not in ROLES:
            raise InputError(f"role {role!r}", expected="query or document")
        if not isinstance(task, str | None):
            raise InputError(f"a task of type {type(task).__name__}", expected="a name or an instruction")
        if task is not None and task in self.named:
            return self.named[task]
        chosen = self._task(task or self.default_task)
        if chosen.symmetric:
            return ""
        if task is not None and chosen.instruction == task.strip() and not self.takes_task:
            raise InputError(
                f"the instruction {task!r} for a model whose prompts have no place for one",
                expected=f"one of its prompts by name: {', '.join(sorted(self.named))}" if self.named else "none",
                do="leave it out, or write it into the texts",
            )
        template = self.query if role == "query" else self.document
        return template if self.literal else template.replace("{task}", chosen.instruction)

    @property
    def takes_task(self) -> bool:
        """Whether a prompt has a place for an instruction."""
        return not self.literal and "{task}" in self.query + self.document

    def has_place_for(self, task: str) -> bool:
        """Whether a task is anything but a whole instruction in words that no prompt has a place for."""
        return task in self.named or " " not in task.strip() or self.takes_task

    def _task(self, task: str) -> Task:
        if " " in task.strip():
            return Task(instruction=task.strip())
        if task not in self.tasks:
            raise InputError(
                f"task {task!r}",
                expected=f"one of {', '.join(sorted({*self.tasks, *self.named}))}, or a whole instruction in words",
            )
        return self.tasks[task]


INSTRUCTED = Prompts(query="Instruct: {task}\nQuery:\n")
