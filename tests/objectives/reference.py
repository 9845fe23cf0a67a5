"""The formulas of `slimvec.objectives` once more: plain loops over vectors and numbers in double precision.

Nothing is shared with the package but the settings. Autograd runs through the loops, so gradients can be compared too.
"""

import torch


def cut(vector, dims):
    if len(vector) <= dims:
        return vector
    return vector[:dims] / vector[:dims].norm()


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def drawn_pairs(usable, *, count, seed):
    """By row, the (a, b, share) of each mixture: the same lots, picked by sorting."""
    rows, options = len(usable), len(usable[0])
    generator = torch.Generator().manual_seed(seed)
    lots = torch.rand(rows, count, options, generator=generator, dtype=torch.float64).tolist()
    shares = torch.rand(rows, count, 3, generator=generator, dtype=torch.float64).tolist()
    found = []
    for i in range(rows):
        free = [k for k in range(options) if usable[i][k]]
        found.append([])
        for m in range(count if len(free) >= 2 else 0):
            a, b = sorted(free, key=lambda k: -lots[i][m][k])[:2]
            found[i].append((a, b, sorted(shares[i][m])[1]))
    return found


class Plain:
    """A batch as lists: vectors at one width, ids and masks as Python values."""

    def __init__(self, batch, dims=None, rows=None):
        dims = dims or batch.dims
        rows = list(range(batch.pairs)) if rows is None else rows
        self.q = [cut(batch.query[i], dims) for i in rows]
        self.p = [cut(batch.positive[i], dims) for i in rows]
        count = batch.num_negatives
        self.n = [[cut(batch.negatives[i, k], dims) for k in range(count)] for i in rows]
        self.there = [[bool(batch.present[i, k]) for k in range(count)] for i in rows]
        self.ids = None
        if batch.query_ids is not None:
            self.ids = (
                [int(batch.query_ids[i]) for i in rows],
                [int(batch.positive_ids[i]) for i in rows],
                [[int(batch.negative_ids[i, k]) for k in range(count)] for i in rows],
            )
        groups, negative_groups = batch.group_ids, batch.negative_group_ids
        self.group = [-1 if groups is None else int(groups[i]) for i in rows]
        self.negative_group = [
            [-1 if negative_groups is None else int(negative_groups[i, k]) for k in range(count)] for i in rows
        ]
        self.scores = None if batch.scores is None else [batch.scores[i].tolist() for i in rows]
        self.seed = batch.seed
        self.pairs = range(len(rows))

    def answers(self, i, text_id):
        q_id, p_id, _ = self.ids
        return text_id in {p_id[m] for m in self.pairs if q_id[m] == q_id[i]} | {q_id[i]}

    def of_one_group(self, i, group):
        return self.group[i] >= 0 and self.group[i] == group


def info_nce(plain, settings, mixing=None):
    """The loss of each row."""
    return [_row(plain, settings, i, _mixtures(plain, settings, mixing)[i]) for i in plain.pairs]


def _row(plain, settings, i, mixtures):
    q, p, terms, t = plain.q, plain.p, settings.terms, settings.temperature

    def answers(j, text_id):
        return settings.mask_equal_texts and plain.ids is not None and plain.answers(j, text_id)

    positive = dot(q[i], p[i])
    candidates = []  # of (cosine, whether it is a hard negative of this row)
    for j in plain.pairs:
        if j == i or plain.of_one_group(i, plain.group[j]):
            continue
        p_i, p_j = (plain.ids[1][i], plain.ids[1][j]) if plain.ids else (None, None)
        alike = answers(i, p_j) or answers(j, p_i)
        if "q-d" in terms and not answers(i, p_j):
            candidates.append((dot(q[i], p[j]), False))
        if "q-q" in terms and not alike:
            candidates.append((dot(q[i], q[j]), False))
        if "d-d" in terms and not alike:
            candidates.append((dot(p[i], p[j]), False))
        if "d-q" in terms and not answers(j, p_i):
            candidates.append((dot(p[i], q[j]), False))
    if "q-d" in terms:
        for j in plain.pairs:
            for k, negative in enumerate(plain.n[j]):
                known = answers(i, plain.ids[2][j][k] if plain.ids else None)
                known = known or plain.of_one_group(i, plain.negative_group[j][k])
                if plain.there[j][k] and not known:
                    candidates.append((dot(q[i], negative), i == j))
    candidates += [(dot(q[i], mixture), True) for mixture in mixtures]
    if settings.margin is not None:
        candidates = [
            (s, hard) for s, hard in candidates if float(s.detach()) <= float(positive.detach()) + settings.margin
        ]
    z = torch.exp(positive / t)
    for s, hard in candidates:
        z = z + torch.exp(s / t) * (torch.exp(settings.hardness * s.detach()) if hard else 1.0)
    probability = torch.exp(positive / t) / z
    loss = -torch.log(probability)
    return loss * (1 - probability) ** settings.focal if settings.focal else loss


def _mixtures(plain, settings, mixing):
    """By row, the mixed negatives."""
    made = [[] for _ in plain.pairs]
    if mixing is None or not plain.n or not plain.n[0]:
        return made
    masked = settings.mask_equal_texts and plain.ids is not None
    usable = [
        [
            there
            and not (masked and plain.answers(i, plain.ids[2][i][k]))
            and not plain.of_one_group(i, plain.negative_group[i][k])
            for k, there in enumerate(plain.there[i])
        ]
        for i in plain.pairs
    ]
    for i in plain.pairs:
        if sum(usable[i]) < 2:
            continue
        if mixing.kind in ("pair", "both"):
            for a, b, share in drawn_pairs(usable, count=mixing.count or 1, seed=plain.seed)[i]:
                mixed = share * plain.n[i][a] + (1 - share) * plain.n[i][b]
                made[i].append(mixed / mixed.norm())
        if mixing.kind in ("list", "both"):
            free = [n for n, use in zip(plain.n[i], usable[i], strict=True) if use]
            weights = [torch.exp(dot(plain.q[i], n) / (mixing.temperature or 1.0)) for n in free]
            mixed = sum(w / sum(weights) * n for w, n in zip(weights, free, strict=True))
            made[i].append(mixed / mixed.norm())
    return [[m.detach() if mixing.stop_gradient else m for m in row] for row in made]


def spread_out(plain):
    pairs = [(i, j) for i in plain.pairs for j in plain.pairs if i != j]
    if not pairs:
        return torch.tensor(0.0, dtype=torch.float64)
    return sum(dot(plain.q[i], plain.q[j]) ** 2 + dot(plain.p[i], plain.p[j]) ** 2 for i, j in pairs) / len(pairs)


def distil_scores(plain, teacher, settings):
    losses = []
    for i in plain.pairs:
        own = [(plain.p[i], teacher and teacher.p[i])]
        own += [(n, teacher and teacher.n[i][k]) for k, n in enumerate(plain.n[i]) if plain.there[i][k]]
        others = []
        if settings.candidates == "batch":
            for j in plain.pairs:
                if j != i:
                    others.append((plain.p[j], teacher.p[j]))
                    others += [(n, teacher.n[j][k]) for k, n in enumerate(plain.n[j]) if plain.there[j][k]]
        student = [dot(plain.q[i], mine) / settings.temperature for mine, _ in own + others]
        if teacher:
            wanted = [float(dot(teacher.q[i], theirs)) for _, theirs in own + others]
        else:
            places = [0] + [k + 1 for k, there in enumerate(plain.there[i]) if there]
            wanted = [plain.scores[i][place] for place in places]
            if wanted[0] != wanted[0]:
                continue
        wanted = [torch.tensor(w / settings.teacher_temperature, dtype=torch.float64) for w in wanted]
        if settings.kind == "kl":
            p = [torch.exp(w) / sum(torch.exp(v) for v in wanted) for w in wanted]
            q = [torch.exp(s) / sum(torch.exp(r) for r in student) for s in student]
            losses.append(sum(a * (torch.log(a) - torch.log(b)) for a, b in zip(p, q, strict=True)))
        else:
            errors = [((student[0] - s) - (wanted[0] - w)) ** 2 for s, w in zip(student[1:], wanted[1:], strict=True)]
            losses.append(sum(errors) / max(len(errors), 1))
    return sum(losses) / max(len(losses), 1)


def distil_vectors(plain, teacher, kind, projection):
    def distance(mine, theirs):
        if projection is not None:
            mine = torch.stack([dot(row[: len(mine)], mine) for row in projection])
        else:
            theirs = cut(theirs, len(mine))
        if kind == "mse":
            return sum((a - b) ** 2 for a, b in zip(mine, theirs, strict=True))
        return 1 - dot(mine, theirs) / (mine.norm() * theirs.norm())

    def mean(pairs):
        return sum(distance(a, b) for a, b in pairs) / max(len(pairs), 1)

    negatives = [(n, teacher.n[i][k]) for i in plain.pairs for k, n in enumerate(plain.n[i]) if plain.there[i][k]]
    return (
        mean(list(zip(plain.q, teacher.q, strict=True)))
        + mean(list(zip(plain.p, teacher.p, strict=True)))
        + mean(negatives)
    )


def cosent(plain, grades, scale):
    cosines = [dot(q, p) for q, p in zip(plain.q, plain.p, strict=True)]
    z = torch.tensor(1.0, dtype=torch.float64)
    for i in plain.pairs:
        for j in plain.pairs:
            if grades[i] > grades[j]:
                z = z + torch.exp(scale * (cosines[j] - cosines[i]))
    return torch.log(z)


def losses(batch, settings, projection=None):
    """The total and the parts of a whole batch, as `slimvec.objectives.losses` defines them."""
    grades = [float("nan")] * batch.pairs if batch.grades is None else batch.grades.tolist()
    answered = [i for i, grade in enumerate(grades) if grade != grade]
    graded = [i for i, grade in enumerate(grades) if grade == grade]
    parts, total = {}, 0.0

    def add(name, width_weight, weight, value):
        nonlocal total
        parts[name] = parts.get(name, 0.0) + width_weight * float(torch.as_tensor(value).detach())
        total = total + width_weight * weight * value

    widths = settings.mrl_dims or (batch.dims,)
    for width, v in zip(widths, settings.mrl_weights or [1.0] * len(widths), strict=True):
        pairs = Plain(batch, width, answered)
        everything = Plain(batch, width)
        if settings.contrastive:
            rows = info_nce(pairs, settings, settings.mixing)
            add("contrastive", v, settings.contrastive, sum(rows) / max(len(rows), 1))
        if settings.spread:
            add("spread", v, settings.spread, spread_out(everything))
        if settings.distill is not None and not settings.distill.by_vectors:
            teacher = Plain(batch.teacher, None, answered) if batch.teacher else None
            found = distil_scores(pairs, teacher, settings.distill.by_scores(settings.temperature))
            add("distillation", v, settings.distill.weight, found)
        elif settings.distill is not None:
            found = distil_vectors(everything, Plain(batch.teacher), settings.distill.kind, projection)
            add("distillation", v, settings.distill.weight, found)
        if settings.graded is not None:
            found = cosent(Plain(batch, width, graded), [grades[i] for i in graded], settings.graded.scale)
            add("graded", v, settings.graded.weight, found)
    return total, parts
