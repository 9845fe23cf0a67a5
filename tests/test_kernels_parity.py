"""The kernels through their C interface, against plain double precision; on Arm by `make arm-check`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from slimvec.engine.kernels import library
from tests import arm_check

SOURCE = Path(__file__).parent / "emulation" / "parity.cpp"


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler (c++)")
def test_every_target_of_this_machine_equals_double_precision(tmp_path):
    if library.load_kernels().library is None:
        pytest.skip(f"no kernels: {library.load_kernels().reason}")
    path = Path(os.environ.get("SLIMVEC_KERNELS_LIBRARY", library._FOLDER / library._LIBRARY)).resolve()
    program = tmp_path / "parity"
    subprocess.run(["c++", "-std=c++20", "-O1", SOURCE, path, "-o", program], check=True)
    names = [target.name for target in library.available_targets()]
    ran = subprocess.run([program, *names], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert f"{len(names)} of {len(names)} targets ran" in ran.stdout
    unnamed = subprocess.run([program, *names[1:]], capture_output=True, text=True, check=False)
    assert unnamed.returncode == 1
    assert f"{names[0]} runs here and was not named" in unnamed.stdout


def test_arm_check_names_the_packages_it_needs(monkeypatch, capsys):
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr("sys.argv", ["arm_check"])
    assert arm_check.main() == 1
    packages = "g++-aarch64-linux-gnu and qemu-user not found; run apt-get install g++-aarch64-linux-gnu qemu-user"
    assert packages in capsys.readouterr().err
