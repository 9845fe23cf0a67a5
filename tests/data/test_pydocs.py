import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimvec.data.duplicates import near_duplicates, text_words
from slimvec.data.pydocs import build_doc_corpus, is_held_out
from slimvec.data.python_sources import find_packages, parse_docstring, read_entries
from slimvec.errors import InputError

NOUNS = ["river", "lamp", "engine", "garden", "letter", "bridge", "candle", "window", "forest", "copper"]
VERBS = ["carry", "mend", "polish", "weigh", "measure", "borrow", "paint", "gather", "scatter", "repair"]


def source(package, count):
    """Functions with summaries and bodies of their own words."""
    lines = []
    for number in range(count):
        verb, noun = VERBS[number % 10], NOUNS[number // 10 % 10]
        body = " ".join(f"{package}{verb}{noun}{letter}" for letter in "abcdefghijkl")
        lines.append(
            f'def {verb}_{noun}(x, y=1):\n    """{verb.title()} the {noun} of {package}.\n\n    {body}.\n    """\n'
        )
    return "\n".join(lines)


def names(held_out, count):
    candidates = (f"{noun}{verb}" for noun in NOUNS for verb in VERBS)
    return [name for name in candidates if is_held_out(name) == held_out][:count]


@pytest.fixture
def site(tmp_path):
    for name in [*names(True, 8), *names(False, 4)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source(name, 30))
    return tmp_path


def texts(corpus):
    trained = {text for record in corpus.train for text in (record.query, *record.positives)}
    scored = {query.text for query in corpus.heldout.queries} | {d.content for d in corpus.heldout.documents}
    return trained, scored


def test_whole_packages_are_held_out(site):
    corpus = build_doc_corpus([site], num_heldout=16)
    assert len(corpus.heldout.documents) == len(corpus.heldout.queries) == 16
    assert len(corpus.train) == 120
    assert all(is_held_out(package) for package in corpus.heldout_packages)
    assert not any(is_held_out(package) for package in corpus.train_packages)
    assert max(corpus.heldout_packages.values()) == 2


def test_the_corpus_is_the_same_each_time_and_in_several_processes(site):
    told = []
    first = build_doc_corpus([site], num_heldout=4, on_progress=lambda *progress: told.append(progress))
    again = build_doc_corpus([site], num_heldout=4, num_processes=2)
    assert first.content_hash == again.content_hash
    assert told == [(12, 12)]


def test_what_is_held_out_does_not_depend_on_the_other_packages(site):
    before = build_doc_corpus([site], num_heldout=4)
    more = names(False, 5)[-1]
    (site / f"{more}.py").write_text(source(more, 10))
    after = build_doc_corpus([site], num_heldout=4)
    assert after.heldout.content_hash == before.heldout.content_hash
    assert after.content_hash != before.content_hash


def test_no_held_out_text_is_trained_on(site):
    scored, trained = names(True, 1)[0], names(False, 1)[0]
    (site / trained / "copy.py").write_text((site / scored / "__init__.py").read_text())
    corpus = build_doc_corpus([site], num_heldout=16)
    trained_texts, scored_texts = texts(corpus)
    words = {" ".join(text_words(text.split("\n", 1)[-1])) for text in trained_texts}
    assert not words & {" ".join(text_words(text.split("\n", 1)[-1])) for text in scored_texts}
    assert corpus.num_dropped == 30


def test_too_little_documentation_is_an_error(site):
    with pytest.raises(InputError, match=r"have 240 documents of use; expected 400, at most 60 from each of them"):
        build_doc_corpus([site], num_heldout=400)


def test_sources_leave_out_tests_vendored_and_private_packages(tmp_path):
    for path in ("pkg/a.py", "pkg/test_a.py", "pkg/tests/b.py", "pkg/_vendor/c.py", "pkg/sub/d.py", "_x.py", "m.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "lost.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "pkg" / "lost.py").symlink_to(tmp_path / "nowhere.py")
    found = find_packages([tmp_path])
    assert list(found) == ["m", "pkg"]
    assert [path.relative_to(tmp_path).as_posix() for path in found["pkg"]] == ["pkg/a.py", "pkg/sub/d.py"]


SHAPES = '''
class Pool(Base):
    """Keep a number of workers busy.

    Each worker takes the next job from the queue as soon as it has finished the one before.
    """

    def __init__(self, size: int = 4, *, name=None): ...

    def submit(self, job, /, *more, wait=True, **options):
        """Hand a job to the next free worker.

        Blocks while all of them are busy, unless told not to wait, and raises what the job raises.
        """
        def inner():
            """Never found because it is inside of a function.

            However much is written here about what it does and why it is there at all.
            """

    def _hidden(self):
        """Never found because its name is private to it.

        However much is written here about what it does and why it is there at all.
        """

try:
    async def drain():
        """Wait until every job is done.

        New jobs that arrive in the meantime are waited for as well, so this may never return.
        """
except ImportError:
    pass
'''


def test_names_and_signatures(tmp_path):
    path = tmp_path / "pkg" / "pool.py"
    path.parent.mkdir()
    path.write_text(SHAPES)
    entries = {entry.name: entry for entry in read_entries("pkg", path)}
    assert list(entries) == ["pkg.pool.Pool", "pkg.pool.Pool.submit", "pkg.pool.drain"]
    assert entries["pkg.pool.Pool"].query == "Keep a number of workers busy."
    assert entries["pkg.pool.Pool"].document.startswith("pkg.pool.Pool(size: int=4, *, name=None)\nEach worker takes")
    first_lines = [entry.document.split("\n")[0] for entry in entries.values()][1:]
    assert first_lines == ["pkg.pool.Pool.submit(job, /, *more, wait=True, **options)", "pkg.pool.drain()"]


def test_long_signatures_are_shortened(tmp_path):
    (tmp_path / "m.py").write_text(
        "def f(" + ", ".join(f"argument{n}: int = {n}" for n in range(30)) + "):\n"
        '    """Take very many arguments at once.\n\n'
        '    All of them are added up and the sum is given back to you, of course.\n    """\n'
    )
    line = read_entries("m", tmp_path / "m.py")[0].document.split("\n")[0]
    assert line.startswith("m.f(argument0, argument1,")
    assert line.endswith(", ...)")
    assert len(line) < 180


@pytest.mark.parametrize("text", ["def f(:", '"""\0"""', "# Generated by a tool, do not edit\n" + SHAPES])
def test_files_of_no_use_give_nothing(tmp_path, text):
    (tmp_path / "m.py").write_text(text)
    assert read_entries("m", tmp_path / "m.py") == []


BODY = "It goes on until nothing is left to do, and then it stops of its own accord."


@pytest.mark.parametrize(
    ("raw", "summary", "body"),
    [
        (f"Do one thing at a time.\n\n{BODY}", "Do one thing at a time.", BODY),
        (f"Do one thing at a time. {BODY}", "Do one thing at a time.", BODY),
        (f"f(x) -> y\n\nDo one thing (e.g. This) now.\n\n{BODY}", "Do one thing (e.g. This) now.", BODY),
        (f"Give a :class:`~a.b.Thing` to ``x`` now.\n\n{BODY}", "Give a a.b.Thing to x now.", BODY),
        (f"Do one thing at a time.\n\n{BODY}\n\n>>> f()\n1\n", "Do one thing at a time.", BODY),
        (f"Do one thing at a time.\n\n{BODY}\n\nExamples\n--------\nmore and more", "Do one thing at a time.", BODY),
        (f"Do one thing at a time.\n\n.. versionadded:: 3\n\n{BODY}", "Do one thing at a time.", BODY),
        (
            f"Do one thing at a time.\n\n{BODY}\n\n:param x: The thing\n    to do.\n:rtype: int",
            "Do one thing at a time.",
            f"{BODY}\nx: The thing to do.",
        ),
        (
            f"Do one thing at a time.\n\nArgs:\n    x (int):\n        {BODY}\n    y: Some.",
            "Do one thing at a time.",
            f"Args:\nx (int): {BODY}\ny: Some.",
        ),
    ],
)
def test_docstrings_of_all_styles(raw, summary, body):
    parsed = parse_docstring(textwrap.dedent(raw))
    assert (parsed.summary, parsed.body) == (summary, body)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "Do one thing at a time.",
        "Do one thing at a time.\n\nShort.",
        f"Too short.\n\n{BODY}",
        f"Args: x and y and z\n\n{BODY}",
        f"Do one of these things:\n - a\n\n{BODY}",
        f"Do {{one}} thing at a time.\n\n{BODY}",
        f"Do one thing at a time.\n\nDo one thing at a time, they said. {BODY}",
        f"See the other function for this.\n\n{BODY}",
        f"Делать одно дело за один раз.\n\n{BODY}",
    ],
)
def test_docstrings_of_no_use(raw):
    assert parse_docstring(raw) is None


def test_long_bodies_are_cut_at_a_sentence():
    parsed = parse_docstring("Do one thing at a time.\n\n" + " ".join([BODY] * 20))
    assert 300 < len(parsed.body) <= 600
    assert parsed.body.endswith("accord.")


WORDS = st.lists(st.sampled_from(NOUNS + VERBS), min_size=1, max_size=30).map(" ".join)


@given(st.lists(WORDS, max_size=12))
def test_near_duplicates_equal_comparing_all_pairs(documents):
    def shingles(text):
        words = text.split()
        return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    kept, expected = [], {}
    for number, text in enumerate(documents):
        own = shingles(text)
        match = [k for k in kept if len(own & shingles(documents[k])) / len(own | shingles(documents[k])) >= 0.8]
        if match:
            expected[number] = match[0]
        else:
            kept.append(number)
    assert near_duplicates(documents) == expected
