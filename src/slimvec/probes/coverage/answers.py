"""What came out for a tokenizer, in plain sentences."""

from slimvec.probes.coverage.counting import CHARACTERS, COVERAGE, FERTILITY, PIECES, Figure
from slimvec.probes.coverage.layout import CALLED_OUT, READ, Measured, shown
from slimvec.probes.coverage.sentences import ENGLISH
from slimvec.statistics.intervals import Interval

NAMES = {"bod_Tibt": "Tibetan", "dzo_Tibt": "Dzongkha"}


def describe(measured: Measured) -> str:
    """Say what a tokenizer reads, with Tibetan and Dzongkha called out where they are there."""
    others = [language for language in measured.sentences.languages if language != ENGLISH]
    shares = {language: measured.language(COVERAGE, language).value for language in others}
    num_read = sum(share >= READ for share in shares.values())
    parts = [
        f"of {len(others)} languages beside English, {measured.name} reads {num_read} ({READ:.0%} or more of the "
        f"characters come back from its tokens)"
    ]
    lost = [script for script in measured.scripts if not measured.reads(script)]
    if lost:
        worst = sorted(lost, key=lambda script: (measured.script(COVERAGE, script).value, script))[:4]
        shown_shares = (f"{script} {measured.script(COVERAGE, script).value:.0%}" for script in worst)
        parts.append(f"read worst: {', '.join(shown_shares)}")
    usual = _with_interval(FERTILITY, measured.overall(FERTILITY))
    parts.append(f"the median language takes {usual} times the tokens of English")
    parts += [describe_language(measured, language) for language in CALLED_OUT if language in shares]
    return _sentence("; ".join(parts))


def describe_language(measured: Measured, language: str) -> str:
    """Say what becomes of a language."""
    found = {figure: measured.language(figure, language) for figure in (COVERAGE, FERTILITY, PIECES, CHARACTERS)}
    if found[COVERAGE].value < READ:
        kept = _with_interval(COVERAGE, found[COVERAGE])
        return f"{NAMES.get(language, language)} ({language}) is not read: {kept} of its characters come back"
    return (
        f"{NAMES.get(language, language)} ({language}) is read at {_with_interval(FERTILITY, found[FERTILITY])} times "
        f"the tokens of English, {shown(PIECES, found[PIECES].value)} of them pieces of characters, so that "
        f"{shown(CHARACTERS, found[CHARACTERS].value)} characters fit in 512 tokens"
    )


def _with_interval(figure: Figure, interval: Interval) -> str:
    value, low, high = (shown(figure, part) for part in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
