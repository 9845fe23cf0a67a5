"""Every study in the repository can be run as it stands."""

from pathlib import Path

import pytest

from slimvec.comparison.study import read_study

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*/study.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_it_is_valid_and_says_how_to_run_it(path, tmp_path):
    study = read_study(path, folders={"data": tmp_path, "prepared": tmp_path})
    assert study.name == path.parent.name
    assert study.limits
    assert f"slimvec compare studies/{study.name}/study.yaml" in path.read_text(encoding="utf-8")
    for seed in study.seeds:
        for variant in study.plain:
            study.recipe_of(variant, seed)
