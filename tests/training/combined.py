"""One training step in double precision, under every combination of objectives a recipe can ask for.

The model is a tiny one of its own, so that all is float64: each state mixes a token with those before it in its text,
and a text's vector is the mean of its states. No transformers here: processes of their own import this file.
"""

from dataclasses import replace

import numpy as np
import tokenizers
import torch
import yaml
from tokenizers import models, pre_tokenizers
from torch import nn

from slimvec.data.records import Record
from slimvec.data.text_ids import text_id
from slimvec.text.prompts import Prompts, Task
from slimvec.text.tokenizer import Tokenizer
from slimvec.training.batches.collation import Collator
from slimvec.training.batches.targets import GRADED, PAIR, Groups
from slimvec.training.recipe import Loss
from slimvec.training.step.distributed import over_processes
from slimvec.training.step.gradients import backward
from slimvec.training.step.objective import make_objective

DIMS, TEACHER_DIMS = 6, 5
LETTERS = " :abcdefghijklmnopqrstuvwxyz0123456789"
ALL_BUT_TEACHER = "terms: [q-d, q-q, d-d, d-q], margin: 0.4, focal: 0.5, hardness: 5, mixing: {kind: both, count: 2}, "
COMBINATIONS = {
    "plain": "",
    "terms": "terms: [q-d, q-q, d-d, d-q], margin: 0.1, mask_equal_texts: false",
    "focal": "focal: 0.5, hardness: 5",
    "mixing": "mixing: {kind: pair, count: 2}",
    "mixing a list": "mixing: {kind: list, temperature: 0.1, stop_gradient: true}, focal: 2",
    "spread": "spread: 0.5",
    "scores of records": "distill: {teacher: records, kind: kl, weight: 0.5, teacher_temperature: 2}",
    "margins of records": "contrastive: 0, distill: {teacher: records, kind: margin-mse, teacher_temperature: 4}",
    "scores of a teacher": "distill: {teacher: big, temperature: 0.2, teacher_temperature: 0.1}",
    "margins of a teacher": "distill: {teacher: big, kind: margin-mse, candidates: own}",
    "vectors": "distill: {teacher: big, kind: cosine, weight: 2}",
    "vectors alone": "contrastive: 0, distill: {teacher: big, kind: mse}",
    "graded": "graded: {weight: 0.5}",
    "graded alone": "contrastive: 0, graded: {scale: 10}",
    "widths": "mrl_dims: [6, 4, 2], mrl_weights: [1, 0.3, 0.1]",
    "all, scores": f"{ALL_BUT_TEACHER} spread: 0.1, graded: {{}}, mrl_dims: [6, 3], distill: {{teacher: big}}",
    "all, vectors": f"{ALL_BUT_TEACHER} spread: 0.1, graded: {{}}, mrl_dims: [6, 3, 2], "
    "distill: {teacher: big, kind: mse}",
}
NAMES = list(COMBINATIONS)
PROMPTS = Prompts(query="{task}: ", document="d: ", tasks={"retrieval": Task(instruction="find")})


def tokenizer():
    """A token for every letter."""
    backend = tokenizers.Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(LETTERS)}, unk_token=" "))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return Tokenizer(backend, max_tokens=99)


def records(num=7):
    """Records with none to three negatives, every third a graded pair, the rest with scores, some texts repeated.

    Those with scores are in two groups or none, and some have a negative that is of another one's group.
    """
    found = []
    for i in range(num):
        query, positive = f"q{i % 5} {'ab' * (i % 4)}", f"p{i % 6} {'xyz'[i % 3] * (1 + i)}"
        if i % 3 == 2:
            found.append(Record(query, (positive,), scores=(round(0.2 + 0.1 * i % 0.7, 2),)))
            continue
        negatives = tuple(f"n{i}{k} {'uvw'[k] * (i + k)}" for k in range(1 + i % 3))
        if i == 3:
            negatives = ("q4 ",)  # of the group of 0
        scores = tuple(float(np.sin(7 * i + k) * 3) for k in range(1 + len(negatives)))
        group = {0: "even", 1: "odd", 4: "even", 6: "odd"}.get(i)
        found.append(Record(query, (positive,), negatives, scores=scores, group=group))
    return found


class Model(nn.Module):
    """Tokens to vectors, in double precision."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        draw = {"generator": generator, "dtype": torch.float64}
        self.tokens = nn.Parameter(torch.randn(len(LETTERS), DIMS, **draw))
        self.mixing = nn.Parameter(torch.randn(DIMS, DIMS, **draw) / 2)

    def forward(self, batch):
        embedded = self.tokens[batch.input_ids]
        vectors = []
        for text in embedded.split(list(batch.lengths)):
            before = text.cumsum(0) / torch.arange(1, len(text) + 1)[:, None]
            vectors.append(torch.tanh(text + before @ self.mixing).mean(0))
        return torch.stack(vectors)


class Teacher:
    """A teacher with a vector of its own for every text and role."""

    identity, dims = "big", TEACHER_DIMS

    def __call__(self, texts, role, _task):
        rows = [np.random.default_rng(text_id(text) + len(role)).normal(size=self.dims) for text in texts]
        return np.stack(rows).astype(np.float32)


class Step:
    """A step over some of the records: model, objective and batch."""

    def __init__(self, name, *, seed=7, chosen=slice(None)):
        loss = Loss.model_validate(yaml.safe_load(f"{{temperature: 0.3, {COMBINATIONS[name]}}}"))
        distill = loss.distill
        teacher = Teacher() if distill is not None and distill.has_model else None
        self.model = Model()
        self.objective = make_objective(loss, dims=DIMS, teacher_dims=TEACHER_DIMS, seed=3)
        if self.objective.projection is not None:
            self.objective.projection.data = self.objective.projection.data.double()
        collator = Collator(
            tokenizer(),
            PROMPTS,
            max_query_tokens=60,
            max_document_tokens=60,
            max_negatives=3,
            teacher=teacher,
        )
        taken = records()[chosen]
        kinds = [GRADED if loss.graded and not record.negatives else PAIR for record in taken]
        texts = collator(taken, epoch=0, kinds=kinds, groups=Groups(records()), seed=seed)
        self.texts = texts if teacher is None else replace(texts, teacher=texts.teacher.double())

    def run(self, *, micro_batch_tokens, graph_tokens):
        """Compute the gradient as training does, and give the loss."""
        losses_of = over_processes(self.objective)
        found = backward(
            self.model,
            self.texts.tokenized,
            lambda vectors: losses_of(self.texts.assemble(vectors)),
            micro_batch_tokens=micro_batch_tokens,
            graph_tokens=graph_tokens,
        )
        return found.losses

    def run_plain(self, loss_of):
        """Compute the gradient of a loss of the batch, one text at a time in one graph, and give the loss."""
        count = len(self.texts.tokenized.sequences)
        vectors = torch.cat([self.model(self.texts.tokenized.pack([i])) for i in range(count)])
        loss = loss_of(self.texts.assemble(vectors))
        loss.backward()
        return loss.detach()

    def gradients(self):
        """Everything that is trained, and its gradient."""
        named = [*self.model.named_parameters(), *self.objective.named_parameters()]
        return {name: parameter.grad for name, parameter in named}


def compare(found, wanted):
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-11, msg=name)
