"""The tasks that records name, held against a model's prompts before anything is trained."""

from collections.abc import Iterable

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.text.prompts import ROLES, Prompts, Role
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.recipe import Recipe

Tasks = tuple[str | None, ...]
"""Task names and instructions, each once; None for records that name none."""


def named_tasks(records: Iterable[Record]) -> Tasks:
    """List the tasks of records, in their order."""
    return tuple(dict.fromkeys(record.task for record in records))


def check_tasks(
    recipe: Recipe, prompts: Prompts, trained: Tasks, held_out: Tasks = (), *, tokenizer: Tokenizer | None = None
) -> None:
    """See that every task of a stage's records has its prompt, and that it leaves room for a text.

    Args:
        recipe: Recipe of the stage.
        prompts: Those of the model in training.
        trained: Tasks of the training records.
        held_out: Tasks of the records held out for validation.
        tokenizer: The model's; without it lengths are not looked at.

    Raises:
        InputError: a name that the prompts do not know, an instruction that they have no place for, or a prompt that
            is as long as a text may be.
    """
    without_prompt: tuple[Role, ...] = ("document",) if recipe.batch.instruction_dropout == 1 else ROLES
    for roles, tasks in ((without_prompt, trained if recipe.learns_from_pairs else ()), (ROLES, held_out)):
        for role in roles:
            rendered = dict.fromkeys(_render(prompts, role, task) for task in tasks)
            for prompt in filter(None, rendered):
                if tokenizer is not None:
                    _check_length(recipe, role, prompt, tokenizer)


def _render(prompts: Prompts, role: Role, task: str | None) -> str:
    try:
        return prompts.render(role, task)
    except InputError as error:
        raise _refused(task or "", prompts, error) from error


def _refused(task: str, prompts: Prompts, error: InputError) -> InputError:
    if prompts.has_place_for(task):
        return InputError(f"records of the data have {error.found}", expected=error.expected, do=error.do)
    return InputError(
        f"records of the data have instructions, as {task!r}, and the prompts have no place for one",
        expected="{task} in model.prompts.query",
        do="to train without them, leave model.prompts as they were and set batch.instruction_dropout=1",
    )


def _check_length(recipe: Recipe, role: Role, prompt: str, tokenizer: Tokenizer) -> None:
    key = f"batch.max_{role}_tokens"
    limit = recipe.batch.max_query_tokens if role == "query" else recipe.batch.max_document_tokens
    if tokenizer.max_tokens < limit:
        key, limit = "model.max_tokens", tokenizer.max_tokens
    taken = len(tokenizer.prompt_ids(prompt)) + tokenizer.num_closing
    if taken >= limit:
        raise InputError(
            f"the prompt {prompt[:60]!r} takes {taken:,} tokens of a {role}, and {key} is {limit:,}",
            expected="room for a text behind it",
            do=f"raise {key}, or shorten the prompt",
        )
