"""What a model's files come to, for people who ask: files, settings and what decides each, tensors."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from slimvec.model.depth import names_below
from slimvec.model.foreign_settings import Decision
from slimvec.model.opening import OpenedModel
from slimvec.model.weight_files import WeightFiles, is_passed_over


@dataclass(frozen=True)
class Inspection:
    """Facts about a model that has been opened.

    Attributes:
        architecture: Architecture of its transformer.
        files: Sizes in bytes by path within its folder.
        settings: What decides each of its settings.
        notices: What may make its vectors differ from what its maker meant.
        num_tensors: Tensors in its weight files, the head's left out.
        passed_over: Those among them that no vector depends on: another head, tables of positions, layers above the
            last that runs.
    """

    architecture: str
    files: dict[str, int]
    settings: tuple[Decision, ...]
    notices: tuple[str, ...]
    num_tensors: int
    passed_over: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Give it as `--json` prints it."""
        return {
            "architecture": self.architecture,
            "files": self.files,
            "settings": {
                one.setting: {"value": _plain(one.value), "file": one.file, "key": one.key} for one in self.settings
            },
            "notices": list(self.notices),
            "tensors": {"num": self.num_tensors, "passed_over": list(self.passed_over)},
        }


def inspect_model(opened: OpenedModel) -> Inspection:
    """Say what a model's files come to.

    Raises:
        ModelError: its weight files cannot be read.
    """
    routes = (opened, *([] if opened.queries is None else [opened.queries]))
    names = [name for home in dict.fromkeys(one.weights for one in routes) for name in WeightFiles(home).names]
    run = set(names if opened.spec.num_layers is None else names_below(names, opened.spec.num_layers))
    files = sorted(path for path in opened.folder.rglob("*") if path.is_file())
    return Inspection(
        architecture=str(opened.config["model_type"]),
        files={str(path.relative_to(opened.folder)): path.stat().st_size for path in files},
        settings=opened.decisions,
        notices=opened.notices,
        num_tensors=len(names),
        passed_over=tuple(sorted(name for name in names if is_passed_over(name) or name not in run)),
    )


def _plain(value: Any) -> Any:
    """Put a setting into what JSON knows."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
