"""Readers: the text, structure and places of each kind of file, and what is said of files that are none."""

import json

import docx
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.bad_rows import BadRows
from slimvec.errors import InputError
from slimvec.search.readers.html import parse_html
from slimvec.search.readers.kinds import kind_of, read_documents
from slimvec.search.readers.plain import structured


def read(path, **settings):
    return list(read_documents(path, **settings))


def blocks(document):
    return [(document.text[block.start : block.end], block.headings, block.line) for block in document.blocks]


def test_markdown_keeps_headings_and_lines(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("# One\nfirst\n\n## Two\n\n```\n# no heading\n\nx\n```\n\nThree\n=====\n\nlast\n", encoding="utf-8")
    (document,) = read(path)
    assert (document.title, document.text) == ("One", path.read_text(encoding="utf-8"))
    assert blocks(document) == [
        ("# One\nfirst", ("One",), 1),
        ("## Two", ("One", "Two"), 4),
        ("```\n# no heading", ("One", "Two"), 6),
        ("x\n```", ("One", "Two"), 9),
        ("Three\n=====", ("Three",), 12),
        ("last", ("Three",), 15),
    ]


def test_underlines_give_levels_by_their_order():
    document = structured("=====\nTitle\n=====\n\nPart\n----\n\nSub\n~~~\n\ntext\n\nNext\n----\n", atx=False)
    assert [block.headings for block in document.blocks] == [
        ("Title",), ("Title", "Part"), ("Title", "Part", "Sub"), ("Title", "Part", "Sub"), ("Title", "Next"),
    ]  # fmt: skip


def test_code_stands_under_its_definitions(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("import os\n\n\n@cached\ndef f(x):\n    y = 1\n\n    return y\n\n\nclass A:\n    pass\n")
    (document,) = read(path)
    assert [(headings, line) for _, headings, line in blocks(document)] == [
        ((), 1), (("def f",), 4), (("def f",), 8), (("class A:",), 11),
    ]  # fmt: skip


def test_html_is_text_under_headings_without_scripts_and_navigation():
    document = parse_html(
        "<html><head><title>The  page</title><style>p {}</style></head><body><nav>menu</nav>\n<h1>One&amp;Two</h1>"
        "<p>first <b>bold</b>\nline<script>x()</script></p>\n<h2>Sub</h2><ul><li>a</li><li>b</li></ul>"
        "<pre>x = 1\n  y</pre><table><tr><td>p</td><td>q</td></tr></table>unclosed <p>end"
    )
    assert document.title == "The page"
    assert blocks(document) == [
        ("One&Two", ("One&Two",), 2),
        ("first bold line", ("One&Two",), 2),
        ("Sub", ("One&Two", "Sub"), 4),
        ("a", ("One&Two", "Sub"), 4),
        ("b", ("One&Two", "Sub"), 4),
        ("x = 1\n  y", ("One&Two", "Sub"), 4),
        ("p | q", ("One&Two", "Sub"), 5),
        ("unclosed", ("One&Two", "Sub"), 5),
        ("end", ("One&Two", "Sub"), 5),
    ]


@given(st.text(alphabet="<>/&;=\"' abph123!-\n", max_size=80))
def test_any_markup_is_read(markup):
    document = parse_html(markup)
    assert all(document.text[block.start : block.end].strip() for block in document.blocks)


def test_docx_keeps_headings_tables_and_paragraph_numbers(tmp_path):
    written = docx.Document()
    written.core_properties.title = "Report"
    written.add_heading("Start", level=1)
    written.add_paragraph("Some text.")
    table = written.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "left", "right"
    written.add_heading("Detail", level=2)
    written.add_paragraph("More.")
    written.save(tmp_path / "a.docx")
    (document,) = read(tmp_path / "a.docx")
    assert document.title == "Report"
    assert blocks(document) == [
        ("Start", ("Start",), 1),
        ("Some text.", ("Start",), 2),
        ("left | right", ("Start",), 3),
        ("Detail", ("Start", "Detail"), 4),
        ("More.", ("Start", "Detail"), 5),
    ]


def pdf_of(pages):
    """A PDF file with a line of text on each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode()
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    data += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    return data + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()


def test_pdf_keeps_pages(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_of(["first page", "second page"]))
    (document,) = read(path)
    assert [(document.text[block.start : block.end], block.page) for block in document.blocks] == [
        ("first page", 1), ("second page", 2),
    ]  # fmt: skip


def test_tables_give_a_document_a_row(tmp_path):
    (tmp_path / "a.csv").write_text('name;note\nx;"two\nlines"\n\ny;\n', encoding="utf-8")
    found = [(d.record, d.text) for d in read(tmp_path / "a.csv")]
    assert found == [("1", "name: x\nnote: two\nlines"), ("3", "name: y")]
    pyarrow.parquet.write_table(pa.table({"_id": ["p"], "title": ["T"], "content": ["some"]}), tmp_path / "a.parquet")
    assert [(d.record, d.title, d.text) for d in read(tmp_path / "a.parquet")] == [("p", "T", "some")]
    rows = [{"id": 7, "q": "asked", "text": "t"}, {"q": ""}, {"q": "again"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nbroken\n", encoding="utf-8")
    bad = BadRows("skip")
    found = read(tmp_path / "a.jsonl", field="q", bad=bad)
    assert [(d.record, d.text, d.blocks[0].line) for d in found] == [("7", "asked", 1), ("3", "again", 3)]
    assert dict(bad.kinds) == {"fields": 1, "json": 1}


def test_encodings(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        path = tmp_path / f"{encoding}.txt"
        path.write_bytes("naïve".encode(encoding))
        assert read(path)[0].text == "naïve"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"a\0b", "has NUL bytes; expected a text file"),
        ("a.pdf", b"%PDF-1.4\nnothing", "cannot be read: .*; expected a whole PDF file"),
        ("a.pdf", pdf_of([""]), "has no text in it; expected a PDF with a layer of text"),
        ("a.docx", b"PK\x03\x04 cut", "cannot be read: .*; expected a whole .docx file"),
        ("a.xyz", b"", "is of an unknown kind; expected one of text, markdown"),
    ],
)
def test_what_cannot_be_read_is_one_error(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_kinds_by_name(tmp_path):
    names = {
        "A.PDF": "pdf",
        "README": "text",
        "x.tar.gz": None,
        "x.jsonl.gz": "table",
        "y.rs": "code",
        "Makefile": "code",
    }
    assert {name: kind_of(tmp_path / name) for name in names} == names


def test_lines_are_counted_as_editors_do(tmp_path):
    text = "one\r\n\r\n\x0c\r\ntwo\x0b\u2028still\r\n\r\nfive"
    (tmp_path / "a.txt").write_bytes(text.encode())
    (document,) = read(tmp_path / "a.txt")
    assert [(text, line) for text, _, line in blocks(document)] == [("one", 1), ("two\x0b\u2028still", 4), ("five", 6)]
    (tmp_path / "mac.txt").write_bytes(b"one\rtwo\r\rfour")
    assert [line for *_, line in blocks(read(tmp_path / "mac.txt")[0])] == [1, 4]
    assert [line for *_, line in blocks(parse_html("<p>\n\x0c\n text"))] == [3]


def test_bytes_that_are_no_text(tmp_path):
    for name, data in (("late.txt", b"text " * 4000 + b"\0"), ("noise.txt", bytes(range(1, 256)) * 9)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="expected a text file"):
            read(tmp_path / name)
    (tmp_path / "wide.txt").write_bytes("na\u00efve".encode("utf-32"))
    assert read(tmp_path / "wide.txt")[0].text == "na\u00efve"
    (tmp_path / "manual.txt").write_bytes("N\bNA\bAM\bME \u00e9".encode())  # as `man` writes bold letters
    assert read(tmp_path / "manual.txt")[0].text.startswith("N\b")


def test_tables_may_hold_long_fields_and_half_surrogates(tmp_path):
    (tmp_path / "a.csv").write_text(f'"long\nname",b\n{"x" * 200_000},y\n', encoding="utf-8")
    (document,) = read(tmp_path / "a.csv")
    assert document.text == f"long\nname: {'x' * 200_000}\nb: y"
    rows = '{"id": "\\udc00", "title": "T\\ud800", "text": "a\\ud800b"}\n{"text": "fine"}\n'
    (tmp_path / "a.jsonl").write_text(rows, encoding="utf-8")
    assert [(one.record, one.title, one.text) for one in read(tmp_path / "a.jsonl")] == [
        ("\ufffd", "T\ufffd", "a\ufffdb"), ("2", "", "fine"),
    ]  # fmt: skip
