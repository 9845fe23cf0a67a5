"""From an instruction to the prompt that a model writes, and what a query has in front when it has none."""

import re
from dataclasses import replace

from slimvec.evaluation.cached_model import prompts_of
from slimvec.evaluation.models import EvaluatedModel, Prompt, Usage

_TASK = "probe"
_SLOT = re.compile(r"(?s)^(?P<before>\s*instruct(?:ion)?:\s*)(?P<task>.+?)(?P<behind>\s*query:\s*)$", re.IGNORECASE)
"""An instruction written out in a prompt: `Instruct: ... Query:`."""


def own_prompt(model: EvaluatedModel) -> Prompt:
    """Give what the model writes in front of a query by itself."""
    return model.prompt(Usage(_TASK, "Retrieval", "query"))


def document_prompt(model: EvaluatedModel) -> Prompt:
    """Give what the model writes in front of a document."""
    return model.prompt(Usage(_TASK, "Retrieval", "document"))


def instructed(model: EvaluatedModel, instruction: str) -> Prompt | None:
    """Give a query's prompt with another instruction.

    A model that takes instructions is told; one whose prompt has an instruction written out gets it replaced.

    Returns:
        The prompt; None where the model's prompt has no place for an instruction.
    """
    own = own_prompt(model)
    told = model.prompt(Usage(_TASK, "Retrieval", "query", instruction))
    if told.text != own.text:
        return told
    if prompts_of(model) is not None:
        return None  # its prompt is made of a template, and what the caller wrote into it would be left out
    return replace(own, text=written, task=written) if (written := _written_over(own.text, instruction)) else None


def no_prompt(model: EvaluatedModel) -> Prompt | None:
    """Give the prompt of a query with nothing in front; None where the model cannot do without.

    A model that makes its prompts of templates is asked for a task without a prompt, or for its documents' side, if
    that has none.
    """
    prompts = prompts_of(model)
    if prompts is None:
        return Prompt("", "query", "")
    symmetric = next((name for name, task in prompts.tasks.items() if task.symmetric), None)
    if symmetric is not None:
        return Prompt("", "query", symmetric)
    return Prompt("", "document") if not prompts.render("document") else None


def _written_over(prompt: str, instruction: str) -> str:
    """Write another instruction into a prompt that has one written out; empty where it has none."""
    found = _SLOT.match(prompt)
    return f"{found['before']}{instruction}{found['behind']}" if found else ""
