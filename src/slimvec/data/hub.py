"""Rows of hub datasets, streamed through the `datasets` package (extra `hub`): nothing is downloaded as a whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from slimvec.data.tables import Row
from slimvec.errors import FetchError, InputError
from slimvec.optional import require

HUB_PREFIX = "hf:"
_FORM = re.compile(r"hf:(?P<name>[^@:]+)(?:@(?P<revision>[^:]+))?(?::(?P<config>[^:]*))?(?::(?P<split>[^:]+))?")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A split of a dataset on the hub.

    Attributes:
        name: `owner/name`, or a folder with the files of a dataset.
        revision: Branch, tag or commit; None for the newest.
        config: One of the dataset's configurations; None for its only one.
        split: Which part to read.
    """

    name: str
    revision: str | None = None
    config: str | None = None
    split: str = "train"


def hub_source(address: str) -> HubSource:
    """Take an address apart.

    Args:
        address: `hf:owner/name[@revision][:config][:split]`; the split alone is `hf:owner/name::split`.

    Raises:
        InputError: it has another form.
    """
    found = _FORM.fullmatch(address)
    if found is None:
        raise InputError(f"hub dataset {address!r}", expected="hf:owner/name[@revision][:config][:split]")
    return HubSource(found["name"], found["revision"] or None, found["config"] or None, found["split"] or "train")


def iter_hub_rows(address: str) -> Iterator[Row]:
    """Read the rows of a hub dataset as they arrive.

    Args:
        address: As for `hub_source`.

    Raises:
        InputError: another form, or `datasets` is not installed.
        FetchError: the dataset cannot be had, or its stream breaks off: what is missing cannot be known then.
    """
    source = hub_source(address)
    datasets = require("datasets", purpose=f"reading {address}")
    number = 0
    try:
        rows = datasets.load_dataset(
            source.name, source.config, split=source.split, revision=source.revision, streaming=True
        )
        for number, values in enumerate(rows, start=1):
            yield Row(f"{address} row {number}", values)
    except Exception as error:  # the package's own errors, those of the network under it and of every file format
        raise _hub_error(address, number, error) from error


def _hub_error(address: str, number: int, error: Exception) -> FetchError:
    """Put what the package says into one line."""
    place = f"after row {number}" if number else "at all"
    return FetchError(
        f"{address} cannot be read {place}: {str(error).strip() or type(error).__name__}",
        expected="a dataset, configuration and split that the hub has",
        do="check the name and the network",
    )
