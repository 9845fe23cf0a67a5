"""Questions in plain words about functions of the standard library that are held out from training.

The standard library is everywhere, but which of its functions are among the documents depends a little on the version
of Python and on the other packages; so there are more questions than are asked.
"""

from collections.abc import Container

_CANDIDATES = (
    ("difflib.get_close_matches", "Which words are spelled almost like the one somebody typed?"),
    ("subprocess.check_output", "How do I run another program and read what it prints?"),
    ("shutil.get_terminal_size", "How wide is the window that my text is shown in?"),
    ("random.Random.choices", "How can I draw lots when some should win more often than others?"),
    ("filecmp.dircmp", "What is different between two folders?"),
    ("shutil.move", "How do I put a folder somewhere else, even on another disk?"),
    ("platform.platform", "Which operating system is this program running on?"),
    ("contextlib.suppress", "How can I go on as if an error had not happened?"),
    ("lzma.open", "How do I read a file that was made smaller to save space?"),
    ("calendar.Calendar.itermonthdates", "Which days belong to a month?"),
)


def choose_questions(document_ids: Container[str], *, num_questions: int = 3) -> list[str]:
    """Choose questions, those first whose answer is among the documents.

    Args:
        document_ids: Names of the documents held out.
        num_questions: How many.
    """
    ordered = sorted(_CANDIDATES, key=lambda candidate: candidate[0] not in document_ids)
    return [question for _, question in ordered[:num_questions]]
