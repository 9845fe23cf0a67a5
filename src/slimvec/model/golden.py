"""Golden vectors: twenty texts in both roles with the vectors a model gave when it was saved.

They travel with the model as `golden.json`, so that any later load, kernel, export or machine can be held against them.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import ModelError
from slimvec.text.prompts import ROLES, Role

GOLDEN_NAME = "golden.json"
TOLERANCE = 0.999
TEXTS = (
    "a",
    "Hello, world!",
    "The cat sat on the mat.",
    "The mat sat on the cat.",
    "How do I read a file line by line without loading it into memory?",
    "Flights from Oslo to Lima leave before noon; flights from Lima to Oslo leave after.",
    "def mean(values):\n    return sum(values) / len(values)",
    "SELECT name, COUNT(*) FROM visits GROUP BY name HAVING COUNT(*) > 3;",
    "3.14159 is less than 22/7, and 2 ** 10 is 1024.",
    "Der Zug nach Freiburg hat heute zwanzig Minuten Verspätung.",
    "Où se trouve la bibliothèque la plus proche ?",
    "El agua hierve a cien grados al nivel del mar.",
    "明日は雨が降るでしょう。",
    "今天的会议改到下午三点。",
    "Сколько стоит билет до Казани?",
    "أين أقرب محطة قطار؟",
    "मुझे हिंदी में एक किताब चाहिए।",
    "བོད་ཡིག་ནི་སྐད་ཡིག་གཅིག་ཡིན།",
    "🙂 Thanks!! — see you at 7pm…",
    "A vector is a list of numbers. Two texts that mean the same should have vectors that point the same way, "
    "whatever words they use, and two texts that mean different things should not, however many words they share. "
    "That is all a text-embedding model promises, and every test here asks whether it keeps the promise.",
)

EmbedRole = Callable[[Sequence[str], Role], NDArray[np.float32]]


def write_golden(folder: Path, embed: EmbedRole) -> None:
    """Embed the golden texts and write `golden.json` into a folder."""
    vectors = {role: np.round(embed(TEXTS, role).astype(np.float64), 6).tolist() for role in ROLES}
    (folder / GOLDEN_NAME).write_text(json.dumps({"texts": TEXTS, "vectors": vectors}, ensure_ascii=False))


def worst_cosine(folder: Path, embed: EmbedRole) -> float:
    """Embed a folder's golden texts again and give the lowest cosine between then and now.

    Raises:
        ModelError: there is no readable `golden.json`.
    """
    path = folder / GOLDEN_NAME
    try:
        golden = json.loads(path.read_text(encoding="utf-8"))
        expected = {role: np.asarray(golden["vectors"][role], dtype=np.float32) for role in ROLES}
        texts = golden["texts"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} cannot be read: {error}", expected="golden vectors, as saving writes them") from error
    return min(_lowest(expected[role], embed(texts, role)) for role in ROLES)


def _lowest(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / norms).min())
