"""`DataCard`: all sources of a run, with totals; written as JSON for machines and Markdown for people."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, computed_field

import slimvec
from slimvec.data.card.summary import SourceSummary
from slimvec.data.contamination import ContaminationReport
from slimvec.errors import InputError
from slimvec.files import write_text


class DataCard(BaseModel):
    """What a model was trained on.

    Attributes:
        slimvec_version: That wrote it.
        sources: In the order of the recipe.
        contamination: What the records share with evaluation data; None when they were not held against any.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # totals that the file holds are computed anew

    slimvec_version: str
    sources: tuple[SourceSummary, ...]
    contamination: ContaminationReport | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def num_records(self) -> int:
        """Records used."""
        return sum(source.num_used for source in self.sources)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def num_repeated(self) -> int:
        """Records used whose texts an earlier record has."""
        return sum(source.num_repeated for source in self.sources)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def records_sha256(self) -> str:
        """Fingerprint of all records used, whatever their order."""
        total = sum(int(source.records_sha256, 16) for source in self.sources)
        return format(total % (1 << 256), "064x")

    @property
    def languages(self) -> dict[str, int]:
        """Records used by declared language, most frequent first; `` (empty) for those that declare none."""
        totals: Counter[str] = Counter()
        for source in self.sources:
            totals.update(source.languages)
        return dict(totals.most_common())


def make_data_card(sources: Sequence[SourceSummary], *, contamination: ContaminationReport | None = None) -> DataCard:
    """Put the sources of a run together.

    Args:
        sources: In the order of the recipe.
        contamination: If the records were held against evaluation data.

    Raises:
        InputError: no source.
    """
    if not sources:
        raise InputError("no source", expected="at least one")
    return DataCard(slimvec_version=slimvec.__version__, sources=tuple(sources), contamination=contamination)


def write_data_card(card: DataCard, folder: Path) -> None:
    """Write `data_card.json` and `data_card.md` into a folder, over what is there.

    Raises:
        StorageError: they cannot be written.
    """
    from slimvec.data.card.page import render_markdown

    write_text(folder / "data_card.json", card.model_dump_json(indent=2) + "\n", force=True)
    write_text(folder / "data_card.md", render_markdown(card), force=True)
