"""The tasks that records name, held against a model's prompts before anything is trained."""

from collections.abc import Iterable

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.text.prompts import ROLES, Prompts, Role
from slimvec.training.recipe import Recipe


def named_tasks(records: Iterable[Record]) -> tuple[str, ...]:
    """List the task names and instructions of records, each once, in their order."""
    return tuple(dict.fromkeys(record.task for record in records if record.task is not None))


def check_tasks(recipe: Recipe, prompts: Prompts, trained: Iterable[str], held_out: Iterable[str] = ()) -> None:
    """See that every task of a stage's records has its prompt.

    Args:
        recipe: Recipe of the stage.
        prompts: Those of the model in training.
        trained: Tasks of the training records, as `named_tasks` gives them.
        held_out: Tasks of the records held out for validation, likewise.

    Raises:
        InputError: a name that the prompts do not know, or an instruction that they have no place for.
    """
    untold: tuple[Role, ...] = ("document",) if recipe.batch.instruction_dropout == 1 else ROLES
    for roles, tasks in ((untold, trained if recipe.learns_from_pairs else ()), (ROLES, held_out)):
        for task in tasks:
            for role in roles:
                try:
                    prompts.render(role, task)
                except InputError as error:
                    raise _refused(task, prompts, error) from error


def _refused(task: str, prompts: Prompts, error: InputError) -> InputError:
    if " " not in task.strip() or prompts.takes_task:
        return InputError(f"records of the data have {error.found}", expected=error.expected, do=error.do)
    return InputError(
        f"records of the data have instructions, as {task!r}, and the prompts have no place for one",
        expected="{task} in model.prompts.query",
        do="to train without them, leave model.prompts as they were and set batch.instruction_dropout=1",
    )
