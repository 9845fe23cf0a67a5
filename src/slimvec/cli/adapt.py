"""`slimvec adapt`: a model adapted to a user's own documents, without pairs or labels."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimvec.cli.adaptation import (
    MAX_TOKENS,
    FoundDocuments,
    MethodName,
    Plan,
    choose_method,
    read_folder,
    scores_before,
    train_or_go_on,
)
from slimvec.cli.failures import AGAIN
from slimvec.cli.models import load_embedder
from slimvec.cli.options import Loading
from slimvec.cli.scores import interval, read_set, score_sets, scores_table
from slimvec.cli.terminal import Result, Terminal, named
from slimvec.errors import TrainingError
from slimvec.files import atomic_folder
from slimvec.reports.amounts import clock, counted

if TYPE_CHECKING:
    from slimvec.data.retrieval import RetrievalSet
    from slimvec.evaluation.results import EvaluationResult

KEYS = {
    "output": "the adapted model's folder",
    "method": "next-phrase or crops",
    "documents": "num_files, num_documents, num_passages trained on, num_held_out phrases, faults: what was not read",
    "training": "steps, tokens, num_truncated, pairs_per_step, negatives_per_pair, num_trained, first_loss, last_loss",
    "sets": "by set, the held-out phrases first: num_queries, num_documents, and nDCG@10 before, after and change, "
    "each with value, low and high (95% interval)",
    "seconds": "of training",
}


def adapt(
    terminal: Terminal,
    *,
    documents: list[Path],
    model: str = "smollm2-135m",
    output: Path,
    revision: str | None = None,
    data: Path | None = None,
    method: MethodName | None = None,
    minutes: float = 8.0,
    field: str | None = None,
    seed: int = 0,
    setting: list[str] | None = None,
    strict: bool = False,
    work: Path | None = None,
    restart: bool = False,
    force: bool = False,
) -> Result:
    """Adapt a model to documents of your own, from their text alone.

    Reads what `slimvec index` reads, holds out phrases of some passages, trains on the rest, and scores both before and
    after: how well a phrase finds the one that follows it, among all held-out ones. With --data, a retrieval set of
    yours is scored too. A model that became worse on everything that was scored is not saved. A run that was stopped
    goes on where it was when the same command is run again.

    Options:
        documents PATH: A file or folder of documents.
        model -m M: The model to adapt: a folder or name.
        output -o: Folder to write the adapted model into.
        data -d FOLDER: A retrieval set to score on too, before and after.
        method: Objective; default next-phrase for causal models, crops for the others.
        minutes N (from 0.05): Time to train.
        field F: Field with the text in tables; default text, content, body, ...
        seed (from 0): Random seed for what is held out and the training.
        setting --set SECTION.KEY=VALUE: A setting of the recipe, as in optim.lr=0.0005.
        strict: Refuse documents that cannot be read, and a set with empty documents or judgements of what is not there.
        work DIR: Folder for the training under way, kept at the end. Default: OUTPUT.work, removed at the end.
    """
    from slimvec.data.mining.workspace import claim_workspace, is_claimed, open_workspace
    from slimvec.data.writers import write_rows
    from slimvec.evaluation.slimvec_model import describe_embedder
    from slimvec.training.recipe.objectives import NextPhrase
    from slimvec.training.run.held_out_phrases import hold_out_phrases

    terminal.reserve(output, force=force)
    folder = work or output.parent / f"{output.name}.work"
    terminal.kept = lambda: f"{AGAIN} to go on from {folder}" if is_claimed(folder) else f"nothing is kept; {AGAIN}"
    further = [] if data is None else [read_set(terminal, data, strict=strict)]
    found = read_folder(terminal, documents, field=field, strict=strict, without=folder.resolve())
    embedder = load_embedder(terminal, model, Loading(revision=revision))
    plan = Plan(choose_method(embedder, method), minutes, seed, setting or ())
    texts = folder.resolve() / "texts.jsonl"
    recipe = plan.recipe(embedder, model, revision, texts)
    with terminal.task("holding phrases out"):
        lengths = NextPhrase(kind="next-phrase", max_tokens=MAX_TOKENS)
        split = hold_out_phrases(found.texts, embedder.tokenizer, lengths, seed=seed)
    sets = [split.held_out, *further]
    card = describe_embedder(embedder, name=model, revision=revision)
    with open_workspace(folder, restart=restart, keep=work is not None):
        claim_workspace(folder, plan.identity(split.training, sets, card))
        before = scores_before(terminal, embedder, sets, card, folder)
        terminal.print(
            f"{counted(found.num_files, 'file')}: {counted(len(split.training), 'passage')} to learn from, "
            f"{counted(len(split.held_out.queries), 'phrase')} held out; {plan.method}"
        )
        write_rows(texts, ({"text": text} for text in split.training))
        del embedder
        run = train_or_go_on(terminal, recipe, folder)
        trained = folder / "model"
        adapted = load_embedder(terminal, str(trained))
        after = score_sets(terminal, adapted, sets, describe_embedder(adapted, name=str(output)))
        changes = _changes(before, after)
        report: Result = {
            "output": str(output),
            "method": plan.method,
            "documents": _describe(found, len(split.training), split.held_out),
            "training": run.summary(),
            "sets": changes,
            "seconds": round(run.result.progress.seconds, 3),
        }
        _show(terminal, before, after, changes)
        worse = all(found["after"]["value"] < found["before"]["value"] for found in changes.values())
        if not worse:
            with atomic_folder(output, force=force) as built:
                shutil.copytree(trained, built, dirs_exist_ok=True)
                (built / "adaptation.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if worse:  # its work folder has gone, for other settings to begin anew
        raise _refusal(changes)
    terminal.not_read(found.faults)
    terminal.print(f"{output}: the adapted model, {run.result.progress.step:,} steps in {clock(report['seconds'])}")
    return report


def _describe(found: FoundDocuments, num_passages: int, held_out: "RetrievalSet") -> dict[str, Any]:
    """Say what was read."""
    return {
        "num_files": found.num_files,
        "num_documents": len(found.texts),
        "num_passages": num_passages,
        "num_held_out": len(held_out.queries),
        "faults": found.faults,
    }


def _changes(before: "EvaluationResult", after: "EvaluationResult") -> dict[str, Result]:
    """Give the scores of each set before and after, and their difference on the same queries."""
    from slimvec.evaluation.comparing import compare_reports

    compared = zip(before.tasks, after.tasks, compare_reports(after, before).tasks, strict=True)
    return {
        second.task: {
            "num_queries": second.num_samples,
            "num_documents": second.num_documents,
            "before": interval(first.score),
            "after": interval(second.score),
            "change": {"value": change.difference, **named(change, ("low", "high"))},
        }
        for first, second, change in compared
    }


def _show(terminal: Terminal, before: "EvaluationResult", after: "EvaluationResult", sets: dict[str, Result]) -> None:
    """Show a table a set, and what changed."""
    from slimvec.statistics.intervals import shown_ends

    for first, second in zip(before.tasks, after.tasks, strict=True):
        change = sets[second.task]["change"]
        terminal.print(
            scores_table([("before", first), ("after", second)], first_column=first.task),
            f"{second.num_samples:,} queries, {second.num_documents:,} documents; change of nDCG@10 "
            f"{change['value']:+.3f}{shown_ends(change['low'], change['high'], form='+.3f')}",
        )


def _refusal(sets: dict[str, Result]) -> TrainingError:
    """Say that a model is not saved."""
    worse = ", ".join(
        f"{found['before']['value']:.3f} to {found['after']['value']:.3f} on {name}" for name, found in sets.items()
    )
    return TrainingError(
        f"the adapted model finds less than the one before: nDCG@10 went from {worse}; it is not saved",
        expected="a gain on one of them",
        do="give more documents or minutes, or lower --set optim.lr=0.0003",
    )
