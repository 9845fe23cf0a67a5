"""The objectives `next-phrase`, `simcse` and `crops`, which make pairs of texts without labels."""

from typing import Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse


class TextObjective(Section):
    """What all objectives have in common that learn from texts without labels.

    The pairs that they make are compared by the section `loss`; what it says of mined negatives, grades and teachers
    has no meaning for them.

    Attributes:
        field: Field of the texts in `.jsonl` and `.parquet` sources; default `text` for rows that have one and are no
            pairs, and the positives of pairs. `.txt` sources hold a text a line.
        max_tokens: Longest passage that is run at once; longer texts are parted into several. At most the model's own
            limit counts.
        step_tokens: Tokens of passages a step, about; what is made of them comes in addition.
    """

    field: str | None = None
    max_tokens: int = Field(default=256, ge=8)
    step_tokens: int = Field(default=4096, ge=8)


class NextPhrase(TextObjective):
    """Learn to find the phrase that comes next: one causal pass over a passage gives a query at every phrase boundary.

    A query is pooled from the states before the boundary; the phrase behind it is embedded by itself, since in the same
    pass it would have seen the query. Query and phrase carry the prompts of their roles.

    Attributes:
        kind: `next-phrase`.
        boundaries: `sentences` ends phrases where sentences end, `tokens` anywhere between two words, drawn anew in
            each epoch; both keep to `phrase_tokens`. `one` draws a single boundary a passage, as a control.
        phrase_tokens: Shortest and longest phrase.
        query: `window` takes the mean of the last `window_tokens` states, `beginning` pools all from the beginning of
            the passage as the model pools. The means of long beginnings hardly differ from boundary to boundary.
        window_tokens: Most tokens of a window.
        near_tokens: Phrases of the same text that begin within so many tokens behind the right one are no negatives;
            those before it never are. null leaves out the whole text.
        lm_weight: Weight of the next-token loss on the same pass, which keeps the language model; 0 is off.
    """

    kind: Literal["next-phrase"]
    boundaries: Literal["sentences", "tokens", "one"] = "sentences"
    phrase_tokens: tuple[int, int] = (16, 32)
    query: Literal["window", "beginning"] = "window"
    window_tokens: int = Field(default=32, ge=1)
    near_tokens: int | None = Field(default=64, ge=0)
    lm_weight: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.phrase_tokens
        refuse(not 1 <= low <= high, "phrase_tokens", f"phrase_tokens {[low, high]} must be the least, then the most")
        message = f"max_tokens {self.max_tokens} holds no two phrases of {low} tokens; raise it"
        refuse(2 * low > self.max_tokens, "max_tokens", message)
        unused = self.query == "beginning" and "window_tokens" in self.model_fields_set
        refuse(unused, "window_tokens", "window_tokens belongs to query window, and it is beginning")
        return self


class SimCSE(TextObjective):
    """Learn to know a text again that was embedded with other dropout (arXiv 2104.08821).

    Attributes:
        kind: `simcse`.
        dropout: Share of what attention and feed-forward layers give that is dropped, as in BERT. Models whose config
            has dropout of its own, as BERT's, have that as well.
    """

    kind: Literal["simcse"]
    dropout: float = Field(default=0.1, gt=0, lt=1)


class Crops(TextObjective):
    """Learn to match two random crops of a text (Contriever, arXiv 2112.09118).

    Attributes:
        kind: `crops`.
        shares: Shortest and longest crop, as shares of the passage.
        drop: Share of the tokens of a crop that is deleted.
    """

    kind: Literal["crops"]
    shares: tuple[float, float] = (0.05, 0.5)
    drop: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.shares
        message = f"shares {[low, high]} must be the least, then the most, above 0 up to 1"
        refuse(not 0 < low <= high <= 1, "shares", message)
        return self


class Revela(TextObjective):
    """Learn to retrieve by predicting tokens: each passage reads the others in every layer, by similarity (Revela).

    Passages are put into groups in which those of one text stand together. The vector of a passage's first half is
    compared with those of the other passages; the softmax of the cosines says how much of their attention is added to
    its own while the model predicts its second half (arXiv 2506.16552). What helps to predict comes to be similar. One
    model retrieves and reads, so it has to be causal and to train all of its layers. The section `loss` says nothing.

    Attributes:
        kind: `revela`.
        passages: Passages of a group; 16 as published. Time and memory of attention grow with it.
        weights: `similarity`, or `uniform` as a control, which teaches the vectors nothing.
        temperature: Temperature of the softmax; 0.0001 as published, which is nearly the most similar passage alone,
            and teaches little about the others.
    """

    kind: Literal["revela"]
    max_tokens: int = Field(default=128, ge=8)
    passages: int = Field(default=8, ge=2)
    weights: Literal["similarity", "uniform"] = "similarity"
    temperature: float = Field(default=0.02, gt=0)
