"""The documentation builds as a site, strictly: a link, an anchor or a name that leads nowhere fails."""

import os
import subprocess
import sys

from tests.claims import ROOT


def test_the_site_builds_without_a_warning(tmp_path):
    site = tmp_path / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="install/"' in home  # the README's own links
    assert "/blob/main/benchmarks/README.md" in home
    reference = (site / "reference" / "embedder" / "index.html").read_text(encoding="utf-8")
    assert 'id="slimvec.engine.embedder.Embedder.load"' in reference
    assert (site / "studies/tokenizer-coverage/report/plots/tokenizers-1.svg").is_file()
