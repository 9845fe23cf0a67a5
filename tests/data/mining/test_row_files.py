import json

import numpy as np
import pytest

from slimvec.data.mining.row_files import RowFile
from slimvec.errors import StorageError

ROW = np.dtype([("document", "<i8", (2,)), ("score", "<f4")])


def rows(start, stop):
    made = np.zeros(stop - start, dtype=ROW)
    made["document"] = np.arange(start, stop)[:, None]
    made["score"] = np.arange(start, stop) / 8
    return made


def test_rows_come_back_after_reopening(tmp_path):
    file = RowFile(tmp_path / "best", ROW)
    assert (file.num_rows, len(file.read())) == (0, 0)
    file.append(rows(0, 3), tally=2)
    file.append(rows(3, 3))
    file.append(rows(3, 5), tally=1)
    again = RowFile(tmp_path / "best", ROW)
    assert (again.num_rows, again.tally) == (5, 3)
    assert (again.read() == rows(0, 5)).all()


@pytest.mark.parametrize("left_behind", [b"", b"x", b"x" * 1000])
def test_what_a_killed_writer_left_is_cut_off(left_behind, tmp_path):
    RowFile(tmp_path / "v", np.float32, [3]).append(np.ones((2, 3)))
    with (tmp_path / "v").open("ab") as file:
        file.write(left_behind)
    again = RowFile(tmp_path / "v", np.float32, [3])
    assert again.num_rows == 2
    again.append(np.full((1, 3), 2))
    assert again.read().tolist() == [[1, 1, 1], [1, 1, 1], [2, 2, 2]]


def test_rows_that_are_missing_or_of_another_type_do_not_count(tmp_path):
    RowFile(tmp_path / "v", np.float32, [3]).append(np.ones((2, 3)))
    assert RowFile(tmp_path / "v", np.float32, [2]).num_rows == 0
    assert RowFile(tmp_path / "v", np.float64, [3]).num_rows == 0
    (tmp_path / "v").write_bytes(b"\0" * 23)
    assert RowFile(tmp_path / "v", np.float32, [3]).num_rows == 0
    (tmp_path / "v").unlink()
    assert RowFile(tmp_path / "v", np.float32, [3]).num_rows == 0


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "v").mkdir()
    with pytest.raises(StorageError, match=r"cannot write .*v: it is a folder"):
        RowFile(tmp_path / "v", np.float32, [3]).append(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"rows of shape \(2,\) for a file of \(3,\)"):
        RowFile(tmp_path / "w", np.float32, [3]).append(np.ones((2, 2)))


def test_the_note_says_how_many_rows_count(tmp_path):
    RowFile(tmp_path / "v", np.float32, [3]).append(np.ones((2, 3)))
    note = json.loads((tmp_path / "v.rows").read_text())
    assert note["num_rows"] == 2
