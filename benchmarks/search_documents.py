"""Real files through the readers: `python -m benchmarks.search_documents FOLDER... --count 20`.

PDFs (unpacked where Debian has them gzipped), Word documents and HTML pages below the folders are read and cut into
chunks. What is found of each is written down, and what was wrong with it. Exit code 1 when one raises anything but a
refusal in one line (`SlimvecError`), or fewer than `--count` can be read.
"""

import argparse
import gzip
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.results import Frozen, write_json
from slimvec.engine.embedder import Embedder
from slimvec.errors import SlimvecError
from slimvec.search.chunking import chunk_document
from slimvec.search.readers.kinds import read_documents
from slimvec.text.tokenizer import Tokenizer

KINDS = (".pdf", ".pdf.gz", ".docx", ".html")


class ReadResult(Frozen):
    """A file that was read.

    Attributes:
        name: File name, with the folder it is in.
        num_bytes: Size of the file.
        title: That was found.
        num_characters: Characters of its text.
        num_blocks: Blocks of its text.
        num_chunks: Made of it.
        num_headings: Different headings over its chunks.
        num_pages: Different pages.
        seconds: Time of reading and cutting.
        fault: What was wrong; empty when nothing was.
    """

    name: str
    num_bytes: int
    title: str = ""
    num_characters: int = 0
    num_blocks: int = 0
    num_chunks: int = 0
    num_headings: int = 0
    num_pages: int = 0
    seconds: float = 0.0
    fault: str = ""


class ReadersResult(Frozen):
    """All files."""

    files: tuple[ReadResult, ...]
    num_read: int
    num_refused: int
    num_crashed: int


def choose(folders: Sequence[Path], count: int, most_bytes: int) -> Iterator[Path]:
    """Choose up to `count` files of each kind, large ones first, none larger than `most_bytes`."""
    found = {path.resolve() for folder in folders for path in folder.rglob("*") if path.is_file()}
    for kind in KINDS:
        fitting = [path for path in found if path.name.lower().endswith(kind) and path.stat().st_size <= most_bytes]
        yield from sorted(fitting, key=lambda path: (-path.stat().st_size, path))[:count]


def read(path: Path, tokenizer: Tokenizer, work: Path) -> ReadResult:
    """Read a file and cut it."""
    source = path
    if path.suffix == ".gz":
        source = work / path.name.removesuffix(".gz")
        source.write_bytes(gzip.decompress(path.read_bytes()))
    known = ReadResult(name=f"{path.parent.name}/{path.name}", num_bytes=source.stat().st_size)
    started = time.perf_counter()
    try:
        (document,) = read_documents(source)
        chunks = chunk_document(document, tokenizer, chunk_tokens=256)
    except SlimvecError as error:
        return known.model_copy(update={"fault": str(error).replace(f"{source.parent}/", "")})
    except Exception:  # a crash of any kind is what is looked for, and is reported
        return known.model_copy(update={"fault": f"CRASH: {traceback.format_exc(limit=-1)}"})
    return known.model_copy(
        update={
            "title": document.title,
            "num_characters": len(document.text),
            "num_blocks": len(document.blocks),
            "num_chunks": len(chunks),
            "num_headings": len({chunk.heading for chunk in chunks} - {""}),
            "num_pages": len({chunk.page for chunk in chunks} - {None}),
            "seconds": round(time.perf_counter() - started, 3),
            "fault": "" if chunks else "no text in it",
        }
    )


def main() -> None:
    """Read, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--each", type=int, default=10, help="files of a kind, at most")
    parser.add_argument("--most-bytes", type=int, default=1 << 26, help="none larger than this")
    parser.add_argument("--model", default="minilm-l6", help="whose tokenizer measures chunks")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/search-documents.json"))
    settings = parser.parse_args()
    tokenizer = Embedder.load(settings.model).tokenizer
    results = []
    with tempfile.TemporaryDirectory() as name:
        for path in choose(settings.folders, settings.each, settings.most_bytes):
            results.append(read(path, tokenizer, Path(name)))
            one = results[-1]
            print(
                f"{one.name}: {one.num_chunks} chunks, {one.num_pages} pages, {one.seconds:.1f} s {one.fault}",
                flush=True,
            )
    crashed = sum(one.fault.startswith("CRASH") for one in results)
    num_read = sum(not one.fault for one in results)
    result = ReadersResult(
        files=tuple(results), num_read=num_read, num_refused=len(results) - num_read - crashed, num_crashed=crashed
    )
    write_json(result, settings.output)
    print(f"{num_read} read, {result.num_refused} refused, {crashed} crashed")
    sys.exit(1 if crashed or num_read < settings.count else 0)


if __name__ == "__main__":
    main()
