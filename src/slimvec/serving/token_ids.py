"""Texts that come as token ids, which must be those of the model's own tokenizer."""

from collections.abc import Sequence

from slimvec.errors import InputError
from slimvec.text.tokenizer import Tokenizer

_DO = "send the text itself (LangChain: check_embedding_ctx_length=False)"


def text_of_ids(tokenizer: Tokenizer, ids: Sequence[int], *, number: int) -> str:
    """Give the text whose tokens were sent.

    Ids of another tokenizer would give a vector of another text, without an error. So the ids must be what the model's
    tokenizer makes of the text that they spell; the special tokens that it puts around a text may be there or not.

    Args:
        tokenizer: The model's.
        ids: At least one.
        number: Number of the text, for messages.

    Raises:
        InputError: there are none, one is unknown to the tokenizer, or they are not its tokens of any text.
    """
    backend = tokenizer.backend
    if not ids:
        raise InputError(f"text {number} is an empty list", expected="token ids", do="leave it out")
    unknown = next((id_ for id_ in ids if id_ > 0x7FFFFFFF or backend.id_to_token(id_) is None), None)
    if unknown is not None:
        raise InputError(
            f"text {number} has the token id {unknown}", expected="ids of the model's own tokenizer", do=_DO
        )
    given = list(ids)
    for special in (False, True):
        text = str(backend.decode(given, skip_special_tokens=special))
        if text.strip() and _ids(tokenizer, text, special=special) == given:
            return text
    raise InputError(
        f"text {number}: its token ids are not what the model's tokenizer makes of the text they spell",
        expected="ids of that tokenizer",
        do=_DO,
    )


def _ids(tokenizer: Tokenizer, text: str, *, special: bool) -> list[int]:
    """Tokenise a text without the model's limit."""
    encoding = tokenizer.backend.encode(text, add_special_tokens=special)
    ids = list(encoding.ids)
    for more in encoding.overflowing:
        ids += more.ids
    return ids
