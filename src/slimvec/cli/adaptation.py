"""Adapting a model to documents without pairs: what is read, the recipe, and what is kept of a run that is stopped.

The work folder of a run holds the passages, the scores before, and the training with its checkpoints; then the trained
model, until it is scored and saved.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slimvec.cli.failures import AGAIN
from slimvec.cli.scores import score_sets
from slimvec.cli.terminal import Terminal
from slimvec.cli.training import FinishedRun, finished_run, run_training
from slimvec.errors import InputError
from slimvec.files import write_text
from slimvec.reports.amounts import counted

if TYPE_CHECKING:
    from slimvec.data.retrieval import RetrievalSet
    from slimvec.engine.embedder import Embedder
    from slimvec.evaluation.models import ModelCard
    from slimvec.evaluation.results import EvaluationResult
    from slimvec.training.recipe import Recipe

MethodName = Literal["next-phrase", "crops"]
MAX_TOKENS = 128
"""Longest passage: long enough for a few phrases, short enough for a step of many passages on two cores."""
_STEP_TOKENS = 768


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """What was read.

    Attributes:
        texts: One a document.
        num_files: Files they come from.
        faults: What could not be read, a line each.
    """

    texts: list[str]
    num_files: int
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is adapted.

    Attributes:
        method: The objective.
        minutes: Minutes for training.
        seed: Random seed for what is held out and the training.
        settings: `section.key=value` over the recipe.
    """

    method: MethodName
    minutes: float
    seed: int
    settings: Sequence[str]

    def recipe(self, embedder: "Embedder", base: str, revision: str | None, texts: Path) -> "Recipe":
        """Write the recipe, to train on a file of passages.

        The upper quarter of a decoder's layers is trained, which leaves time for more steps. A base without prompts
        keeps having none.

        Raises:
            InputError: a setting that does not fit.
        """
        from slimvec.training.recipe.reading import parse_recipe

        longest = min(MAX_TOKENS, embedder.spec.max_tokens)
        tree: dict[str, Any] = {
            "base": {"source": base, "revision": revision},
            "data": [{"path": str(texts)}],
            "objective": {"kind": self.method, "max_tokens": longest, "step_tokens": _STEP_TOKENS},
            "tuning": {"rank": 16, "alpha": 32, "first_layer": _num_frozen(base, revision)},
            "loss": {"temperature": 0.05},
            "optim": {"lr": 0.002},
            "batch": {"micro_batch_tokens": 1024, "graph_tokens": 4 * _STEP_TOKENS},
            "run": {"max_minutes": self.minutes, "seed": self.seed, "checkpoint_minutes": 1},
        }
        if not any(embedder.spec.prompts.render(role) for role in ("query", "document")):
            tree["model"] = {"prompts": {"query": ""}}
        return parse_recipe(json.dumps(tree), name="the recipe of the adaptation", overrides=self.settings)

    def identity(self, passages: Sequence[str], sets: "Sequence[RetrievalSet]", card: "ModelCard") -> dict[str, Any]:
        """Say what an adaptation is of, so that no other goes on from what it keeps."""
        documents = hashlib.sha256("\0".join(passages).encode()).hexdigest()
        hashes = [one.content_hash for one in sets]
        return {"documents": documents, "sets": hashes, "model": card.identity, **asdict(self)}


def read_folder(
    terminal: Terminal,
    sources: Sequence[Path],
    *,
    field: str | None,
    strict: bool = False,
    without: Path = Path(),  # none
) -> FoundDocuments:
    """Read files and folders as `slimvec index` does.

    Args:
        terminal: Shows progress.
        sources: Files and folders.
        field: Field with the text in tables; default the first of the usual names.
        strict: Refuse what cannot be read, in place of naming it.
        without: Folder that is passed over: what the command itself writes.

    Raises:
        InputError: a source does not exist, no document has any text, or with `strict` a file or a row cannot be read.
    """
    with terminal.task("reading documents") as task:
        from slimvec.data.bad_rows import BadRows
        from slimvec.search.finding import find_files
        from slimvec.search.readers.kinds import read_documents

        whole = [Path(os.path.realpath(source)) for source in sources]
        paths = [file.path for file in find_files(whole, without=without).files]
        texts: list[str] = []
        faults: list[str] = []
        for number, path in enumerate(paths, start=1):
            task.update(completed=number, total=len(paths))
            bad = BadRows("error" if strict else "skip")
            try:
                documents = [document.text for document in read_documents(path, field=field, bad=bad)]
            except InputError as error:
                if strict:
                    raise
                faults.append(str(error))
                continue
            texts += [text for text in documents if text.strip()]
            if bad.num_skipped:
                faults.append(f"{path}: {bad.summary()}")
    if not texts:
        raise InputError(
            f"no text in {counted(len(paths), 'file')} of {', '.join(map(str, sources))}"
            + (f"; {faults[0]}" if faults else ""),
            expected="text, Markdown, HTML, PDF, .docx or tables",
        )
    return FoundDocuments(texts, len(paths), faults)


def choose_method(embedder: "Embedder", asked: MethodName | None) -> MethodName:
    """Choose the objective: next-phrase where the model's attention and pooling bear it, else crops.

    Raises:
        InputError: the one asked for does not fit the model.
    """
    attention, pooling = embedder.spec.attention, embedder.spec.pooling.standard_mode()
    fits = attention == "causal" and pooling not in ("cls", "last")
    if asked == "next-phrase" and not fits:
        raise InputError(
            f"--method next-phrase for a model with {attention} attention and {pooling} pooling",
            expected="a causal model that pools several tokens",
            do="pass --method crops",
        )
    return asked or ("next-phrase" if fits else "crops")


def _num_frozen(base: str, revision: str | None) -> int:
    """Count the layers that are not trained: the lower three quarters of a decoder's."""
    from slimvec.model.architectures import is_decoder
    from slimvec.model.opening import open_model

    config = open_model(base, revision=revision).config  # of an adapter, its base's
    return 3 * int(config["num_hidden_layers"]) // 4 if is_decoder(config) else 0


def scores_before(
    terminal: Terminal, embedder: "Embedder", sets: "Sequence[RetrievalSet]", card: "ModelCard", work: Path
) -> "EvaluationResult":
    """Score the model as it is, or read its scores where the work folder has them."""
    from slimvec.evaluation.results import EvaluationResult

    path = work / "before.json"
    if path.is_file():
        return EvaluationResult.model_validate_json(path.read_bytes())
    found = score_sets(terminal, embedder, sets, card)
    write_text(path, found.model_dump_json())
    return found


def train_or_go_on(terminal: Terminal, recipe: "Recipe", work: Path) -> FinishedRun:
    """Train within the work folder, from where a stopped run was.

    Raises:
        Interrupted: the run was stopped, and saved.
    """
    trained = work / "model"
    if not trained.is_dir():
        stopped = f"it is saved; {AGAIN} to go on from {work}"
        run_training(terminal, recipe, trained, resume=True, force=False, when_stopped=stopped)
    return finished_run(trained)
