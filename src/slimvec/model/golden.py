"""Golden vectors: twenty texts in both roles with the vectors a model gave when it was saved.

They travel with the model as `golden.json`, so that any later load, kernel, export or machine can be held against them.
Every load of a copy that this machine has not seen is (`check_golden`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimvec.errors import ModelError
from slimvec.text.prompts import ROLES, Role

GOLDEN_NAME = "golden.json"
SAME_DTYPE_COSINE = 0.9999
"""Least cosine of a float32 vector stored with one computed again in float32: they differ by rounding to 6 digits."""
OTHER_DTYPE_COSINE = 0.995
"""Least cosine of half of the texts where either is bfloat16 or int8, or the stored one's dtype is not known."""
OTHER_DTYPE_ANY = 0.96
"""Least cosine of any text there. One that a model was not trained for may round far off: of SmolLM2-135M, trained on
English in bfloat16, two engines had .9877 for the Hindi text, and .9958 or more for the others."""
NUM_QUICK = 2
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


@dataclass(frozen=True, eq=False)
class Golden:
    """The contents of `golden.json`.

    Attributes:
        texts: N texts.
        vectors: By role, their vectors when the model was saved: [N, D].
        dtype: Data type of the weights that gave them, as `float32`; empty in files of earlier versions.
    """

    texts: tuple[str, ...]
    vectors: Mapping[Role, NDArray[np.float32]]
    dtype: str = ""

    def cosines(self, embed: EmbedRole, role: Role, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed the first of the texts again: cosine of each with the vector stored. NaN where a vector is.

        Raises:
            ModelError: the vectors have another width.
        """
        stored, now = self.vectors[role][: len(texts)], embed(texts, role)
        if stored.shape != now.shape:
            raise ModelError(f"golden vectors of shape {stored.shape}", expected=f"{now.shape}, as the model gives")
        norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(now, axis=1)
        result: NDArray[np.float32] = (stored * now).sum(axis=1) / norms
        return result


def write_golden(folder: Path, embed: EmbedRole, *, dtype: str, texts: Sequence[str] = TEXTS) -> None:
    """Embed the golden texts and write `golden.json` into a folder.

    Args:
        folder: Folder of the model.
        embed: The model as it is saved.
        dtype: Data type of its weights, as `float32`.
        texts: Those embedded.
    """
    vectors = {role: np.round(embed(texts, role).astype(np.float64), 6).tolist() for role in ROLES}
    content = {"texts": list(texts), "dtype": dtype, "vectors": vectors}
    (folder / GOLDEN_NAME).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_golden(folder: Path) -> Golden:
    """Read a folder's `golden.json`.

    Raises:
        ModelError: it is not there, or cannot be used.
    """
    path = folder / GOLDEN_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        vectors = {role: np.asarray(content["vectors"][role], dtype=np.float32) for role in ROLES}
        golden = Golden(tuple(content["texts"]), vectors, str(content.get("dtype", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read: {error}", expected="golden vectors, as saving writes them") from error
    if any(found.ndim != 2 or len(found) != len(golden.texts) for found in vectors.values()) or not golden.texts:
        raise ModelError(f"{path} has not one vector a text", expected="golden vectors, as saving writes them")
    return golden


def worst_cosine(folder: Path, embed: EmbedRole) -> float:
    """Embed a folder's golden texts again and give the lowest cosine between then and now.

    Raises:
        ModelError: there is no readable `golden.json`.
    """
    golden = read_golden(folder)
    return min(float(golden.cosines(embed, role, golden.texts).min()) for role in ROLES)


def check_golden(folder: Path, embed: EmbedRole, *, dtype: str, quick: bool, roles: Sequence[Role] = ROLES) -> None:
    """Hold a loaded model against the vectors it had when it was saved.

    Args:
        folder: Folder of the model.
        embed: The model as it was loaded, with the settings of its folder.
        dtype: It was loaded in.
        roles: Roles whose texts it embeds.
        quick: Take only the first two texts, in the last role: where the machine emulates the dtype, all take minutes.

    Raises:
        ModelError: a vector is another, or `golden.json` cannot be read.
    """
    golden = read_golden(folder)
    texts = golden.texts[:NUM_QUICK] if quick else golden.texts
    same = dtype == golden.dtype == "float32"
    least, middle = (SAME_DTYPE_COSINE, SAME_DTYPE_COSINE) if same else (OTHER_DTYPE_ANY, OTHER_DTYPE_COSINE)
    for role in roles[-1:] if quick else roles:
        cosines = golden.cosines(embed, role, texts)
        by_cosine = np.argsort(np.nan_to_num(cosines, nan=-1))
        for text, wanted in ((by_cosine[0], least), (by_cosine[(len(texts) - 1) // 2], middle)):
            if cosines[text] >= wanted:
                continue
            raise ModelError(
                f"{folder}: the vector of {texts[text][:30]!r} as {role} has a cosine of {cosines[text]:.4f} with "
                f"the one in {GOLDEN_NAME}, written when the model was saved",
                expected=f"at least {wanted}" + ("" if same else f", and {middle} of half of the texts"),
                do="its weights, adapter, base or settings are not those that were saved: copy it again, whole",
            )
