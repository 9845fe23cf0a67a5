"""Any YAML gives plain values or one line, soon."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimvec.errors import InputError
from slimvec.training.recipe.reading import parse_recipe
from slimvec.yaml_files import MAX_CHARACTERS, compose_yaml, read_text, read_yaml, read_yaml_file

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
BAD = {
    "python tag": ("a: !!python/object:os.system {}", "line 1: tag 'tag:yaml.org,2002:python/object:os.system'"),
    "own tag": ("a: !x 1", "line 1: tag '!x'; expected plain values"),
    "plain tag": ("a: !!timestamp x", "line 1: tag"),
    "section as key": ("a: 1\n? {b: 1}\n: 2", "line 2: a section or a list as a key"),
    "key twice": ("a: {b: 1}\nc: 1\na: 2", "line 3: 'a' is there already, in line 1"),
    "list as key": ("[1, 2]: 2", "line 1: a section or a list as a key"),
    "itself": ("a: &a\n  b: *a", "line 2: *a contains itself"),
    "bomb": (BOMB, "more than 10,000 values"),
    "deep flow": ("[" * 100_000, "line 1: nested more than 32 deep"),
    "deep block": ("\n".join(f"{' ' * n}a:" for n in range(300)), "line 33: nested more than 32 deep"),
    "large": ("a" * (MAX_CHARACTERS + 1), "has 200,001 characters; expected at most 200,000 of YAML"),
    "many": ("[" + "1," * 11_000 + "]", "more than 10,000 values"),
    "no date": ("a: 2026-02-30", "is not valid YAML: day"),
    "digits": ("a: " + "1" * 5000, "is not valid YAML: Exceeds the limit"),
    "two documents": ("a: 1\n---\nb: 1", "is not valid YAML"),
    "control": ("a: \x1b", "is not valid YAML"),
    "undefined": ("a: *b", "is not valid YAML"),
    "merge": ("<<: 1", "is not valid YAML"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_no_plain_yaml_is_one_line_soon(text, message):
    begin = time.process_time()
    for read in (lambda: read_yaml(text, "f"), lambda: parse_recipe(text, name="f")):
        with pytest.raises(InputError, match=r"^f") as caught:
            read()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.process_time() - begin < 20


def test_references_to_small_values_are_read():
    assert read_yaml("a: &a {b: [1]}\nc: *a\nd:\n  <<: *a\n  e: 2", "f")["d"] == {"b": [1], "e": 2}
    assert read_yaml("", "f") is None
    assert compose_yaml("", "f") is None


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.one_of(st.text(alphabet="ab01-: {}[]&*!?|>#%@'\"<\n\t,.~=", max_size=40), st.text(max_size=20)))
def test_any_text_is_values_or_an_error(text):
    try:
        compose_yaml(text, "f")
        read_yaml(text, "f")
    except InputError as error:
        assert str(error).startswith("f")  # noqa: PT017  # most texts are errors, some are none


def test_files_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    with pytest.raises(InputError, match=r"a.yaml cannot be read: 'utf-8' codec .*; expected a recipe in UTF-8"):
        read_yaml_file(tmp_path / "a.yaml", "a recipe")
    with pytest.raises(InputError, match=r"cannot be read: Is a directory; expected a recipe"):
        read_text(tmp_path, "a recipe")
