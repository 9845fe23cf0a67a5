"""What counts as unfit for training: the `Cleaning` section of a recipe."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class LanguageRule(Settings):
    """Whether texts must be in the language their record declares. Needs the extra `data`.

    Attributes:
        check: `off`; `count` records whose language is another; or `drop` them.
        allowed: Languages instead of the record's own. Empty: the record's own; records that declare none are not
            judged.
        text: Which text is judged. `either` suits pairs across languages, whose declared language may be that of the
            query or of the document: one text that agrees is enough.
        min_bytes: Shorter texts (in UTF-8) are not judged.
        min_confidence: Verdicts below this probability are none. For what 40 and .5 give see `data.languages`.
    """

    check: Literal["off", "count", "drop"] = "off"
    allowed: tuple[str, ...] = ()
    text: Literal["either", "query", "document"] = "either"
    min_bytes: int = Field(default=40, ge=1)
    min_confidence: float = Field(default=0.5, ge=0, le=1)


class Cleaning(Settings):
    """Rules for records and their texts. None switches a limit off.

    A text that breaks a rule is taken out of its record; the record goes with its query or its last positive.

    Attributes:
        min_query_chars: Characters of the shortest query.
        max_query_chars: Characters of the longest. Off, as what a model cannot read is truncated and counted later.
        min_document_chars: Likewise, of positives and negatives.
        max_document_chars: Likewise.
        min_query_words: Words, of the shortest query. A character of a script without spaces counts as a word.
        max_query_words: Likewise.
        min_document_words: Likewise.
        max_document_words: Likewise.
        min_letters: Smallest share of letters, marks and digits among the characters that are not white space. Prose
            has over .9, Python code about .7, shell commands about .6.
        max_markup: Largest share of characters in HTML tags and entities.
        stock_phrases: Refuse a document of which more than half is lines with "lorem ipsum" or about cookies,
            JavaScript, terms of use or privacy: what C4 leaves out (arXiv 1910.10683, section 2.2), but there a line
            about policies goes alone, and "lorem ipsum" takes the whole page with it.
        max_repeated_lines: Largest share of a text's characters in lines that repeat an earlier one of its own, for
            texts of at least four lines. Gopher has .2 on web pages (arXiv 2112.11446, table A1); here code and
            commands have lines in common too.
        max_line_records: A line that stands in the documents of more than this many records of a source is
            boilerplate, and a document is refused when it is mostly boilerplate. Counted as the records pass, so the
            first so many get through. Lines of translations are counted once per record too.
        copies: Refuse a positive that repeats the query, white space and capitals aside.
        exact_duplicates: Drop a record whose query and positives another one of any source had before.
        near_duplicates: Drop a record whose query and positives together have this Jaccard similarity of three-word
            runs, or more, with those of an earlier record. .9 leaves translations and numbered variants alone.
        same_query: `merge` makes one record of all with the same query, task, language, source and group; needs the
            memory to hold them all. `keep` leaves them apart.
        language: See `LanguageRule`.
    """

    min_query_chars: int | None = Field(default=2, ge=1)
    max_query_chars: int | None = Field(default=None, ge=1)
    min_document_chars: int | None = Field(default=2, ge=1)
    max_document_chars: int | None = Field(default=None, ge=1)
    min_query_words: int | None = Field(default=None, ge=1)
    max_query_words: int | None = Field(default=None, ge=1)
    min_document_words: int | None = Field(default=None, ge=1)
    max_document_words: int | None = Field(default=None, ge=1)
    min_letters: float | None = Field(default=0.4, ge=0, le=1)
    max_markup: float | None = Field(default=0.3, ge=0, le=1)
    stock_phrases: bool = True
    max_repeated_lines: float | None = Field(default=0.3, ge=0, le=1)
    max_line_records: int | None = Field(default=None, ge=1)
    copies: bool = True
    exact_duplicates: bool = True
    near_duplicates: float | None = Field(default=0.9, gt=0, le=1)
    same_query: Literal["keep", "merge"] = "keep"
    language: LanguageRule = LanguageRule()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for role in ("query", "document"):
            for unit in ("chars", "words"):
                low, high = getattr(self, f"min_{role}_{unit}"), getattr(self, f"max_{role}_{unit}")
                if low is not None and high is not None and low > high:
                    raise ValueError(f"min_{role}_{unit} {low} is above max_{role}_{unit} {high}")
        if self.language.check == "off" and self.language.model_fields_set - {"check"}:
            raise ValueError("language has settings and its check is off; give language.check count or drop")
        return self
