import pytest

from slimvec.errors import InputError
from slimvec.reports.amounts import clock, counted, parse_size, size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (61, "1:01"), (3600, "1:00:00"), (3725, "1:02:05")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0.0 MB"), (3.14e6, "3.1 MB"), (1e8, "0.10 GB"), (1.25e9, "1.25 GB"), (2e12, "2,000.00 GB")],
)
def test_size(num_bytes, text):
    assert size(num_bytes) == text


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [("24GB", 24 * 10**9), ("1.5 GiB", 3 << 29), ("512M", 512 * 10**6), ("100", 100), ("2kb", 2000)],
)
def test_sizes_are_read(text, num_bytes):
    assert parse_size(text) == num_bytes


def test_sizes_below_zero_are_none():
    with pytest.raises(InputError):
        parse_size("-1GB")


@pytest.mark.parametrize(("number", "written"), [(0, "0 texts"), (1, "1 text"), (2, "2 texts"), (1234, "1,234 texts")])
def test_one_thing_has_no_plural(number, written):
    assert counted(number, "text") == written
