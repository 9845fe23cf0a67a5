"""Chunks: within the limit, by structure, and exactly what stands in the source."""

from hypothesis import given
from hypothesis import strategies as st

from slimvec.search.chunking import chunk_document
from slimvec.search.documents import Block, Document, TextBuilder
from slimvec.search.readers.plain import structured
from slimvec.text.tokenizer import Tokenizer
from tests import tiny

TOKENIZER = Tokenizer(tiny.tokenizer_backend(), max_tokens=64)  # a token a byte


def chunks_of(text, size):
    return chunk_document(structured(text, atx=True), TOKENIZER, chunk_tokens=size)


WORDS = st.text(alphabet="ab é中.\n#", max_size=200)


@given(WORDS, st.integers(16, 60))
def test_chunks_cover_the_text_in_order_within_the_limit(text, size):
    chunks = chunks_of(text, size)
    place = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert not text[place : chunk.start].strip()
        assert chunk.text.strip()
        assert chunk.text == chunk.text.rstrip()
        assert chunk.num_tokens == len(TOKENIZER.backend.encode(chunk.text).ids) <= size
        assert chunk.first_line == text.count("\n", 0, chunk.start) + 1
        assert chunk.last_line == text.count("\n", 0, chunk.end) + 1
        place = chunk.end
    assert not text[place:].strip()


def test_headings_begin_chunks_unless_the_last_is_short():
    text = "# A\n\n" + "a" * 20 + "\n\n## B\n\nb\n\n## C\n\nc\n"
    found = [(chunk.text, chunk.heading, chunk.content.partition(chunk.text)[0]) for chunk in chunks_of(text, 60)]
    assert found == [("# A\n\n" + "a" * 20, "A", "A\n\n"), ("## B\n\nb\n\n## C\n\nc", "A > B", "A > A > B\n\n")]


def test_the_content_has_title_and_headings():
    (chunk,) = chunk_document(Document("text", [Block(0, 4, ("Options",))], title="Manual"), TOKENIZER, chunk_tokens=20)
    assert chunk.content == "Manual > Options\n\ntext"


def test_pages_are_never_joined():
    builder = TextBuilder()
    for page in (1, 2):
        builder.add(f"page {page}", page=page)
    chunks = chunk_document(Document(builder.text, builder.blocks), TOKENIZER, chunk_tokens=60)
    assert [(chunk.text, chunk.page) for chunk in chunks] == [("page 1", 1), ("page 2", 2)]


def test_lines_of_a_chunk_are_those_of_its_blocks():
    builder = TextBuilder()
    for number in range(6):
        builder.add(f"paragraph {number}. " * (6 if number == 3 else 1), line=10 * number)
    chunks = chunk_document(Document(builder.text, builder.blocks), TOKENIZER, chunk_tokens=32)
    assert [(chunk.first_line, chunk.last_line) for chunk in chunks] == [
        (0, 10), (20, 20), *[(30, 30)] * 3, (40, 50),
    ]  # fmt: skip
