"""What a study would run, and which differences it could tell: its power, stated before anything runs."""

from collections.abc import Mapping
from pathlib import Path

from slimvec.comparison.plan import Material
from slimvec.comparison.runs import stored_results
from slimvec.frozen import Frozen
from slimvec.statistics.trainings import MIN_TRAININGS, detectable_difference

SPREADS = (0.004, 0.014)
"""Standard deviations of nDCG@10 between seeds: measured in trainings of 24 to 96 steps (docs/log.md, 2026-11-29)."""
QUERY_DEVIATION = 0.2
"""Standard deviation over queries of the difference of two variants of one recipe (studies/only-slm-stages)."""


class SetSize(Frozen):
    """What is taken of a set."""

    num_queries: int
    num_documents: int


class StudyOutline(Frozen):
    """A study before it runs.

    Attributes:
        variants: Their names.
        seeds: Random seeds.
        num_trainings: Models that are trained, over all seeds; bases of the study's own among them.
        num_runs: Variants that are scored, over all seeds.
        num_done: Runs whose results are there already.
        sets: What is scored on, by set.
        num_comparisons: Comparisons that are corrected together.
        detectable: By the spread of trainings that is supposed: the smallest true difference of two trained variants
            that is found with a chance of 80%. Empty where there would be no verdict.
    """

    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    num_trainings: int
    num_runs: int
    num_done: int
    sets: Mapping[str, SetSize]
    num_comparisons: int
    detectable: Mapping[float, float]

    def lines(self) -> list[str]:
        """Give it in words."""
        queries = sum(size.num_queries for size in self.sets.values())
        found = [
            f"{len(self.variants)} variants, seeds {', '.join(map(str, self.seeds))}: {self.num_trainings} trainings, "
            f"{self.num_runs} runs to score, {self.num_done} of them done",
            *(
                f"  {name}: {it.num_queries:,} queries, {it.num_documents:,} documents"
                for name, it in self.sets.items()
            ),
        ]
        if not self.num_trainings:
            return found
        if not self.detectable:
            wanted = f"a verdict on trained variants needs {MIN_TRAININGS} seeds, or a measured training_spread"
            return [*found, f"no verdict: {wanted}; {len(self.seeds)} here"]
        told = ", ".join(f"{size:.3f} where seeds move it by {spread:g}" for spread, size in self.detectable.items())
        return [
            *found,
            f"differences that {queries:,} queries would show in four cases of five, {self.num_comparisons} "
            f"comparisons corrected together: {told}",
        ]


def outline_study(material: Material, output: Path) -> StudyOutline:
    """Say what a study would run, and what it could tell.

    Args:
        material: The study, and what it is scored on.
        output: Where results of before may lie.
    """
    study, sets, runs = material.study, material.datasets, material.runs
    trained = {training.key for run in runs for training in run.training.needed}
    num_comparisons = len(study.plain) - 1
    measured, has_own = study.training_spread, len(study.seeds) >= MIN_TRAININGS
    spreads = SPREADS if measured is None else (measured.deviation,)
    judged = spreads if trained and (has_own or measured is not None) else ()
    return StudyOutline(
        variants=tuple(study.cells),
        seeds=study.seeds,
        num_trainings=len(trained),
        num_runs=len(runs),
        num_done=len(stored_results(material, output)),
        sets={
            found.name: SetSize(num_queries=len(found.queries), num_documents=len(found.documents)) for found in sets
        },
        num_comparisons=num_comparisons,
        detectable={
            spread: detectable_difference(
                deviation=spread,
                query_deviation=QUERY_DEVIATION,
                set_sizes=[len(found.queries) for found in sets],
                num_trainings=len(study.seeds),
                measured_with=None if has_own or measured is None else measured.seeds,
                num_tests=num_comparisons,
            )
            for spread in judged
        },
    )
