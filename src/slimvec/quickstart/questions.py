"""Questions in plain words about functions of the standard library that are held out from training.

The standard library is everywhere, but which of its functions are among the documents depends a little on the version
of Python and on the other packages; so there are more questions than are asked. They show what a search looks like; the
measure is the table, over a thousand queries.
"""

from collections.abc import Container

_CANDIDATES = (
    ("random.Random.choices", "How can I pick random elements with different weights?"),
    ("shutil.get_terminal_size", "How can I get the size of the terminal?"),
    ("difflib.get_close_matches", "How do I find the words most similar to a given word?"),
    ("calendar.Calendar.itermonthdates", "How can I iterate over the dates in a month?"),
    ("xml.etree.ElementTree.XML", "How do I parse an XML document from a string?"),
    ("shutil.copy", "How do I copy a file?"),
    ("inspect.findsource", "How do I get the source code of a function?"),
    ("shutil.move", "How do I move a file or directory to another location?"),
    ("subprocess.check_output", "How can I run a command and get its output?"),
    ("filecmp.dircmp", "How do I compare the contents of two directories?"),
)

ANSWERS = frozenset(name for name, _ in _CANDIDATES)
"""Documents that answer one of them."""


def choose_questions(document_ids: Container[str]) -> list[str]:
    """Choose three questions, those first whose answer is among the documents."""
    ordered = sorted(_CANDIDATES, key=lambda candidate: candidate[0] not in document_ids)
    return [question for _, question in ordered[:3]]
