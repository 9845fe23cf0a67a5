"""Distillation on plain texts: against loops in double precision, shared out by rows, and what it aims at."""

import math

import pytest
import torch
import torch.nn.functional as F

from slimvec.objectives.settings import TextVectors
from slimvec.objectives.text_vectors import distil_texts


def vectors(count, dims, seed):
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (
        math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    )


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def plain(student, teacher, settings, projection, widths):
    """The sum of the formulas, by loops over numbers."""
    student, teacher = student.tolist(), teacher.tolist()
    count, total = len(student), 0.0
    for width, factor in zip(*widths.values(), strict=True):
        cut = [row[:width] for row in student]
        if projection is None:
            narrow = min(width, len(teacher[0]))
            compared = [(row[:narrow], wanted[:narrow]) for row, wanted in zip(cut, teacher, strict=True)]
        else:
            columns = projection[:, :width].tolist()
            unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in cut]
            seen = [[sum(w * x for w, x in zip(line, row, strict=True)) for line in columns] for row in unit]
            compared = list(zip(seen, teacher, strict=True))
        total += factor * settings.cosine * sum(1 - cosine(a, b) for a, b in compared) / count
        for i in range(count):
            others = [j for j in range(count) if j != i]
            mine = [cosine(cut[i], cut[j]) for j in others]
            wanted = [cosine(teacher[i], teacher[j]) for j in others]
            squares = sum((a - b) ** 2 for a, b in zip(mine, wanted, strict=True))
            total += factor * settings.gram * squares / (count * (count - 1))
            p = softmax([value / settings.temperature for value in wanted])
            q = softmax([value / settings.temperature for value in mine])
            divergence = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
            total += factor * settings.kl * divergence / count
    return total


SETTINGS = TextVectors(cosine=1.0, gram=2.0, kl=0.5, temperature=0.3)
WIDTHS = {"dims": (6, 3), "dim_weights": (1.0, 0.4)}


@pytest.mark.parametrize("width", [9, 4])
@pytest.mark.parametrize("projected", [True, False])
def test_it_is_the_sum_of_the_formulas(width, projected):
    student, teacher = vectors(5, 6, seed=1), vectors(5, width, seed=2)
    projection = vectors(width, 6, seed=3) if projected else None
    found = distil_texts(student, teacher, SETTINGS, projection=projection, **WIDTHS)
    assert float(found.total) == pytest.approx(plain(student, teacher, SETTINGS, projection, WIDTHS), rel=1e-10)
    assert float(found.total) == pytest.approx(
        float(found.parts["cosine"] + 2 * found.parts["gram"] + 0.5 * found.parts["kl"]), rel=1e-10
    )


def test_shares_by_rows_add_up_in_value_and_gradient():
    teacher, projection = vectors(5, 9, seed=2), vectors(9, 6, seed=3).requires_grad_()
    whole = vectors(5, 6, seed=1).requires_grad_()
    distil_texts(whole, teacher, SETTINGS, projection=projection, **WIDTHS).total.backward()
    wanted, projection.grad = projection.grad, None
    shared = vectors(5, 6, seed=1).requires_grad_()
    for rows in (slice(0, 2), slice(2, 5), slice(5, 5)):
        distil_texts(shared, teacher, SETTINGS, projection=projection, **WIDTHS, rows=rows).total.backward()
    torch.testing.assert_close(shared.grad, whole.grad)
    torch.testing.assert_close(projection.grad, wanted)


def test_the_teachers_own_vectors_are_the_aim_at_every_width_that_holds_them():
    wanted = F.pad(vectors(7, 3, seed=4), (0, 5))
    found = distil_texts(3 * wanted, wanted, TextVectors(cosine=1, gram=1, kl=1), dims=(8, 3))
    assert float(found.total) == pytest.approx(0, abs=1e-9)


def test_relations_are_blind_to_a_rotation_and_the_cosine_is_not():
    wanted = vectors(7, 4, seed=5)
    turned = wanted @ torch.linalg.qr(vectors(4, 4, seed=6))[0]
    found = distil_texts(turned, wanted, TextVectors(cosine=1, gram=1, kl=1)).parts
    assert float(found["gram"] + found["kl"]) == pytest.approx(0, abs=1e-9)
    assert float(found["cosine"]) > 0.1


def test_a_text_alone_has_no_relations():
    found = distil_texts(vectors(1, 4, seed=7), vectors(1, 4, seed=8), TextVectors(cosine=1, gram=1, kl=1))
    assert float(found.parts["gram"]) == float(found.parts["kl"]) == 0


def test_widths_and_weights_that_make_no_loss_are_refused():
    with pytest.raises(ValueError, match="for vectors of 4 numbers"):
        distil_texts(vectors(2, 4, seed=1), vectors(2, 4, seed=2), TextVectors(), dims=(8,))
    with pytest.raises(ValueError, match="weights"):
        distil_texts(vectors(2, 4, seed=1), vectors(2, 4, seed=2), TextVectors(cosine=0))
