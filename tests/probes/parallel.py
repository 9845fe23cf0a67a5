"""The same made sentences in several languages, as SIB-200 has real ones, and tokenizers that read them in a known way.

A sentence is a word of the letters a to j; a language writes some of its letters in another alphabet. A tokenizer of
bytes then takes exactly as many tokens more as the letters have bytes.
"""

import gzip
import json

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers

from tests import tiny

ALPHABETS = {"Latn": "abcdefghij", "Cyrl": "абвгдежзий", "Tibt": "ཀཁགངཅཆཇཉཏཐ"}


def english(count=30, *, seed=1):
    """Different words of 6 to 15 letters."""
    generator = np.random.default_rng(seed)
    words = {"".join(generator.choice(list(ALPHABETS["Latn"]), size=generator.integers(6, 16))) for _ in range(count)}
    return sorted(words)


def written(word, script, *, num_letters=None):
    """A word with its first letters, or all, in another script."""
    table = str.maketrans(ALPHABETS["Latn"], ALPHABETS[script])
    cut = len(word) if num_letters is None else num_letters
    return word[:cut].translate(table) + word[cut:]


def three_languages(words):
    """English, and all of it in Cyrillic and in Tibetan letters."""
    codes = {"eng_Latn": "Latn", "rus_Cyrl": "Cyrl", "bod_Tibt": "Tibt"}
    return {code: [written(word, script) for word in words] for code, script in codes.items()}


def write_sentences(folder, languages):
    """Write a folder `sib200`, and give the folder that holds it."""
    rows = [
        {"id": 100 + number, "label": "none", "text": text, "lang": language}
        for language, texts in languages.items()
        for number, text in enumerate(texts)
    ]
    target = folder / "data" / "sib200"
    target.mkdir(parents=True)
    with gzip.open(target / "test.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return folder / "data"


def words_backend(words):
    """Knows these words and nothing else."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *words])}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.add_special_tokens(["[UNK]"])
    return backend


def save_tokenizer(folder, backend=None, name="tokenizer.json"):
    """Write a tokenizer, that of bytes by default, and give its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (backend or tiny.tokenizer_backend()).save(str(folder / name))
    return folder
