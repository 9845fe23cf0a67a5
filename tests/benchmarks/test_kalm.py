"""The KaLM recipes run small: what is written of a run, and how a stage's speed is counted."""

import sys

from benchmarks import kalm


def test_each_run_is_written_when_it_is_over(tmp_path, monkeypatch):
    steps = [{"loss": 1.0, "seconds": seconds, "tokens": 30} for seconds in (5.0, 6.0, 8.0)]
    stage = kalm._stage("weak", [*steps, {"measures": {}}])
    assert (stage.steps, stage.tokens_per_s) == (3, 20.0)  # the first step warms up
    found = kalm.Run(stages=(stage,), seconds=8.0, num_trained=9, peak_rss_mb=1.0, overrides=("a=b",))
    monkeypatch.setattr(kalm, "make_data", lambda *_: None)
    monkeypatch.setattr(kalm, "run", lambda *_: found)
    output = tmp_path / "kalm.json"
    monkeypatch.setattr(sys, "argv", ["kalm", "data", "--recipe", "kalm-v1", "--output", str(output)])
    kalm.main()
    assert kalm.KalmRuns.model_validate_json(output.read_text()).runs == {"kalm-v1": found}
