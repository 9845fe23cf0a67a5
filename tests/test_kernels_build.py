"""The build hook: what it does without a compiler, and that Python and the build see the same sources."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from slimvec.engine.kernels import library

PATH = Path(__file__).parent.parent / "hatch_build.py"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("hatch_build", PATH)
    module = sys.modules["hatch_build"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hatch_build"]


def test_without_a_compiler_an_install_goes_on_and_says_what_is_missing(hook, monkeypatch, tmp_path):
    monkeypatch.delenv("SLIMVEC_BUILD", raising=False)
    monkeypatch.delenv("SLIMVEC_KERNELS", raising=False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    (tmp_path / hook.LIBRARY).write_text("of an earlier install")
    said = hook.build_in_place(tmp_path)
    assert said.startswith("no C++ compiler (c++, or $CXX) when slimvec was installed; install one")
    assert [path.name for path in tmp_path.iterdir()] == [hook.MISSING]
    monkeypatch.setattr(library, "_FOLDER", tmp_path)
    assert library.load_kernels().reason == said
    monkeypatch.setenv("SLIMVEC_BUILD", "require")
    with pytest.raises(hook.BuildError, match="no C"):
        hook.build_in_place(tmp_path)


def test_a_machine_without_kernels_says_so(hook, monkeypatch, tmp_path):
    monkeypatch.setattr(hook.platform, "machine", lambda: "riscv64")
    monkeypatch.setenv("CXX", sys.executable)
    assert hook.build_in_place(tmp_path) == "there are no kernels for riscv64"


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler (c++)")
def test_what_does_not_compile_leaves_nothing_but_the_reason(hook, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "c++ --no-such-flag")
    said = hook.build_in_place(tmp_path)
    assert said.startswith("the kernels do not compile: ")
    assert "no-such-flag" in said
    assert [path.name for path in tmp_path.iterdir()] == [hook.MISSING]


def test_a_process_that_has_the_library_loaded_keeps_it_while_a_new_one_is_built(hook, monkeypatch, tmp_path):
    def compiled(command):
        if "-o" in command:
            Path(command[command.index("-o") + 1]).write_text("new", encoding="utf-8")

    monkeypatch.setattr(hook, "_run", compiled)
    library = tmp_path / hook.LIBRARY
    library.write_text("old", encoding="utf-8")
    with library.open(encoding="utf-8") as used:
        hook.build(hook.Plan("x86_64", "true"), library)
        assert used.read() == "old"
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [(hook.LIBRARY, "new")]


def test_build_and_package_agree_on_names_and_sources(hook):
    assert (hook.LIBRARY, hook.MISSING) == (library._LIBRARY, library._NOTE)
    assert hook.sources_hash() == library.sources_hash(hook.KERNELS)


def test_a_wheel_is_one_of_its_platform_and_carries_the_library(hook, monkeypatch):
    build_data = {"artifacts": [], "pure_python": True}

    class App:
        said = ()

        def display_warning(self, message):
            self.said = (*self.said, message)

    self = type("Hook", (), {"target_name": "wheel", "app": App()})()
    monkeypatch.setattr(hook, "build_in_place", lambda: "no C++ compiler")
    hook.KernelsHook.initialize(self, "standard", build_data)
    assert build_data == {"artifacts": [f"/src/slimvec/engine/kernels/{hook.MISSING}"], "pure_python": True}
    assert self.app.said == ("slimvec runs without its kernels, on torch alone: no C++ compiler",)
    monkeypatch.setattr(hook, "build_in_place", lambda: "")
    hook.KernelsHook.initialize(self, "standard", build_data)
    assert build_data["artifacts"][-1] == f"/src/slimvec/engine/kernels/{hook.LIBRARY}"
    assert build_data["tag"].startswith("py3-none-")
    assert not build_data["pure_python"]
