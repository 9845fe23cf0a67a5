"""Probe reports are served beside the model they are about, and beside no other."""

import pytest

from slimvec.cli.app import run
from slimvec.errors import InputError, ModelError
from slimvec.evaluation.slimvec_model import SlimvecModel
from slimvec.probes.results import ProbeReport
from slimvec.serving.report_routes import read_report
from tests.probes.support import report
from tests.search.support import save_tiny


def test_the_route_gives_the_blocks_of_the_report(searching, server):
    (found,) = searching.get("/v1/reports").json()["reports"]
    assert (found["model"], found["probed_as"], found["amount"]) == ("tiny", "model-a", "full")
    assert found["blocks"][0] == {"kind": "heading", "text": "What model-a sees of a text", "level": 1}
    assert [block["title"] for block in found["blocks"] if block["kind"] == "picture"][:1] == ["Accuracy by kind"]
    assert server.get("/v1/reports").json() == {"reports": []}


def test_the_card_of_a_loaded_model_says_what_servers_know_it_by(folder, server):
    assert SlimvecModel.load(str(folder)).card.model_sha256 == server.embedder.identity.sha256


def test_reports_on_other_models_and_on_unknown_ones_are_refused(tmp_path, server, probed):
    report().write(tmp_path / "old.json")
    with pytest.raises(
        InputError, match=r"does not say by its files which model it is about; .*run `slimvec probe` again"
    ):
        read_report(tmp_path / "old.json", server.models)
    found = ProbeReport.read(probed / "report.json")
    other = found.model.model_copy(update={"model_sha256": "0" * 64})
    found.model_copy(update={"model": other}).write(tmp_path / "other.json")
    with pytest.raises(
        ModelError, match="is about model-a as it was then, which is not served; expected a report on tiny"
    ):
        read_report(tmp_path / "other.json", server.models)


def test_the_command_refuses_before_it_serves(tmp_path, probed, capsys):
    save_tiny(tmp_path / "other", seed=1)
    assert run(["serve", "--model", str(tmp_path / "other"), "--port", "0", "--report", str(probed)]) == 2
    assert "is about model-a as it was then" in capsys.readouterr().err
