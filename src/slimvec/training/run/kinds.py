"""From the kind of a recipe's objective to its steps, and the model as they need it: one table.

A new objective is a section in `slimvec.training.recipe.objectives`, steps of its own, and an entry here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from slimvec.data.records import Record
from slimvec.errors import InputError
from slimvec.model.adapters import has_fresh_embeddings
from slimvec.model.embedding_model import EmbeddingModel
from slimvec.model.lm_head import LMHead, load_lm_head, tied_head
from slimvec.training.batches.collation import Collator, OpenTeacher, TeacherVectors
from slimvec.training.batches.sources import distinct_texts
from slimvec.training.recipe import Recipe, TextVectorsObjective
from slimvec.training.recipe.objectives import Anchor, NextPhrase
from slimvec.training.step.contrastive import ContrastiveSteps
from slimvec.training.step.events import Audience
from slimvec.training.step.head_regression import linear_head
from slimvec.training.step.next_phrase import NextPhraseSteps
from slimvec.training.step.ngrams import NGramSteps
from slimvec.training.step.objective import make_objective, make_projection
from slimvec.training.step.prediction import PredictionSteps, TrainableStates, check_causal
from slimvec.training.step.processes import Processes
from slimvec.training.step.reconstruction import Reconstruction
from slimvec.training.step.revela import RevelaSteps
from slimvec.training.step.steps import Steps, TrainableModel
from slimvec.training.step.text_vectors import TargetVectors, TextVectorSteps, TrainablePooling
from slimvec.training.step.text_views import TextViewSteps
from slimvec.training.step.token_vectors import check_rank


@dataclass(frozen=True, eq=False)
class StageInput:
    """What a stage begins with.

    Attributes:
        model: Prepared: trainable as the recipe says.
        records: To train on, without those held out.
        sources: [N], number of each record's source among the recipe's.
        recipe: Recipe of the stage.
        audience: Told what takes long, and what the stage begins with.
        open_teacher: Gives the model that a recipe names as teacher.
    """

    model: EmbeddingModel
    records: Sequence[Record]
    sources: NDArray[np.int64]
    recipe: Recipe
    audience: Audience
    open_teacher: OpenTeacher | None

    def teacher(self, name: str) -> TeacherVectors:
        """Open a teacher by its name.

        Raises:
            InputError: there is nobody to open it.
        """
        if self.open_teacher is None:
            raise InputError(
                f"the recipe has a teacher, {name}, and the run was started without one",
                expected="a function that opens it",
                do="pass open_teacher, or train with the command line",
            )
        return self.open_teacher(name)


@dataclass(frozen=True, eq=False)
class StageWork:
    """What a stage trains, and how.

    Attributes:
        trainable: The model as the steps need it.
        steps: What is done in each.
        extra_parameters: Trained beside the model.
        teacher: Identity of the teacher, if there is one.
        start: Sets weights before the first step, where a run is not resumed.
        kept: Tensors beside those that are trained, by name, which steps change in place and checkpoints hold.
    """

    trainable: TrainableModel
    steps: Steps
    extra_parameters: Sequence[tuple[str, nn.Parameter]] = ()
    teacher: str | None = None
    start: Callable[[], None] | None = None
    kept: Mapping[str, Tensor] = field(default_factory=dict)


def _contrastive(stage: StageInput) -> StageWork:
    """Learn from pairs."""
    model, recipe = stage.model, stage.recipe
    distill = recipe.loss.distill
    teacher = stage.teacher(distill.teacher) if distill is not None and distill.has_model else None
    objective = make_objective(
        recipe.loss, dims=model.dims, teacher_dims=teacher.dims if teacher else None, seed=recipe.run.seed
    )
    objective.to(model.device)
    reconstruction = _reconstruction(stage) if isinstance(recipe.objective, Anchor) else None
    steps = ContrastiveSteps(
        stage.records,
        recipe,
        objective=objective,
        collator=_collator(model, recipe, teacher),
        sources=stage.sources,
        reconstruction=reconstruction,
    )
    stage.audience.notice(str(steps.filling), None)
    extra = list(objective.named_parameters())
    if reconstruction is not None:
        extra.append(("objective.anchor", reconstruction.matrix))
    return StageWork(model, steps, extra, teacher.identity if teacher else None)


def _reconstruction(stage: StageInput) -> Reconstruction:
    """Give what reconstructs the texts of a pair.

    Raises:
        InputError: the model is not causal, or has no mask token.
        ModelError: the base has no language-model head.
    """
    model, recipe = stage.model, stage.recipe
    assert isinstance(recipe.objective, Anchor)
    check_causal(model, recipe, "reconstruction")
    head = language_head(recipe, model)
    tokens = recipe.batch.micro_batch_tokens
    return Reconstruction(model, head, recipe.objective, micro_batch_tokens=tokens, seed=recipe.run.seed)


def _collator(model: EmbeddingModel, recipe: Recipe, teacher: TeacherVectors | None) -> Collator:
    """Give the collator of the model."""
    return Collator(
        model.tokenizer,
        model.spec.prompts,
        max_query_tokens=recipe.batch.max_query_tokens,
        max_document_tokens=recipe.batch.max_document_tokens,
        max_negatives=recipe.batch.negatives,
        teacher=teacher,
        by_likelihood=recipe.loss.distill is not None and recipe.loss.distill.by_likelihood,
    )


def _token_prediction(stage: StageInput) -> StageWork:
    """Learn to predict tokens.

    Raises:
        InputError: the model attends in the mode in which there is nothing to learn.
        ModelError: the base has no language-model head.
    """
    model, recipe = stage.model, stage.recipe
    assert recipe.adaptation is not None
    wanted = recipe.adaptation.attention
    if model.spec.attention != wanted:
        raise InputError(
            f"adaptation of {recipe.base.name}, which is {model.spec.attention}, by {recipe.adaptation.objective}",
            expected=f"{wanted} attention",
            do=f"set model.attention={wanted}",
        )
    texts, head = distinct_texts(stage.records), language_head(recipe, model)
    return StageWork(TrainableStates(model), PredictionSteps(texts, recipe, tokenizer=model.tokenizer, head=head))


def language_head(recipe: Recipe, model: EmbeddingModel) -> LMHead:
    """Give the language-model head of a model in training: its base's.

    Raises:
        ModelError: the base has none.
    """
    source = recipe.base.source
    if source is None:
        return tied_head(model.backbone)
    return load_lm_head(source, model.backbone, revision=recipe.base.revision)


def _text_vectors(stage: StageInput) -> StageWork:
    """Learn the vectors of teachers."""
    model, settings = stage.model, stage.recipe.objective
    assert isinstance(settings, TextVectorsObjective)
    teachers = [stage.teacher(name) for name in settings.teachers]
    texts = distinct_texts(stage.records, queries=True)
    dims = sum(teacher.dims for teacher in teachers)  # what does not fit is refused before anything is computed
    if settings.head_texts:
        linear_head(model, dims)
    if has_fresh_embeddings(model.backbone):
        check_rank(stage.recipe.tuning.embedding_rank, dims=dims)
    with Processes.current().main_first():  # the others find the vectors that it keeps
        principal = settings.axes == "principal"
        targets = TargetVectors(teachers, texts, role=settings.role, principal=principal, notice=stage.audience.notice)
    wanted = settings.projects(model.dims, targets.dims)
    projection = make_projection(model.dims, targets.dims, stage.recipe.run.seed) if wanted else None
    extra = () if projection is None else (("objective.projection", nn.Parameter(projection.to(model.device))),)
    steps = TextVectorSteps(
        texts,
        stage.recipe,
        settings,
        model=model,
        targets=targets,
        projection=extra[0][1] if extra else None,
    )
    trainable, start = TrainablePooling(model), partial(steps.start, stage.audience)
    return StageWork(trainable, steps, extra, targets.identity, start, kept=steps.kept)


def _next_phrase(stage: StageInput) -> StageWork:
    """Learn to find the phrase that comes next.

    Raises:
        ModelError: the next-token loss is asked for, and the base has no language-model head.
    """
    objective = stage.recipe.objective
    assert isinstance(objective, NextPhrase)
    steps = NextPhraseSteps(
        distinct_texts(stage.records),
        stage.recipe,
        model=stage.model,
        objective=make_objective(stage.recipe.loss),
        lm_head=language_head(stage.recipe, stage.model) if objective.lm_weight else None,
    )
    return StageWork(TrainableStates(stage.model, pooled=True), steps)


def _text_views(stage: StageInput) -> StageWork:
    """Learn to match two views of a text."""
    objective = make_objective(stage.recipe.loss)
    steps = TextViewSteps(distinct_texts(stage.records), stage.recipe, model=stage.model, objective=objective)
    return StageWork(stage.model, steps)


def _revela(stage: StageInput) -> StageWork:
    """Learn to retrieve by predicting tokens.

    Raises:
        ModelError: the base has no language-model head.
    """
    head = language_head(stage.recipe, stage.model)
    steps = RevelaSteps(distinct_texts(stage.records), stage.recipe, model=stage.model, head=head)
    return StageWork(stage.model, steps)


def _ngrams(stage: StageInput) -> StageWork:
    """Learn to write n-grams of the documents that answer a query.

    Raises:
        InputError: the model is not causal.
        ModelError: the base has no language-model head.
    """
    model, recipe = stage.model, stage.recipe
    check_causal(model, recipe, "n-grams written")
    head = language_head(recipe, model)
    steps = NGramSteps(stage.records, recipe, tokenizer=model.tokenizer, head=head)
    stage.audience.notice(str(steps.filling), None)
    return StageWork(TrainableStates(model), steps)


KINDS: Mapping[str, Callable[[StageInput], StageWork]] = {
    "contrastive": _contrastive,
    "anchor": _contrastive,
    "text-vectors": _text_vectors,
    "next-token": _token_prediction,
    "masked-next-token": _token_prediction,
    "masked-token": _token_prediction,
    "next-phrase": _next_phrase,
    "simcse": _text_views,
    "crops": _text_views,
    "revela": _revela,
    "ngrams": _ngrams,
}
"""Makes the work of a stage, by the name of a kind, as `Recipe.kind` gives it."""
