"""The sections about what is learnt: `objective`, distinguished by its kind, and `adaptation` in its place."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from slimvec.frozen import Section, refuse
from slimvec.model.spec import AttentionMode
from slimvec.objectives.settings import TextVectors

Prediction = Literal["next-token", "masked-next-token", "masked-token"]
_MASK_SHARES = {"masked-next-token": 0.2, "masked-token": 0.3}


class Adaptation(Section):
    """Token prediction: from scratch, or to make a causal model use what comes after.

    A section `adaptation`, empty or not, turns a run or a stage into one; `loss` and the pairs of `batch` then say
    nothing. The texts are the positives of the records, or plain texts.

    Attributes:
        objective: `masked-next-token` predicts a masked token from the state before it (LLM2Vec, arXiv 2404.05961),
            as the head of a language model is used to: for causal models that shall become bidirectional.
            `next-token` predicts every token from the state before it, causally: how decoders are pre-trained.
            `masked-token` predicts a masked token at its own place (BERT, arXiv 1810.04805): how encoders are.
        mask_share: Share of the tokens that are masked and predicted. Default 0.2 with `masked-next-token`, as LLM2Vec
            has it for Llama models, and 0.3 with `masked-token`, as ModernBERT (arXiv 2412.13663). A token that is
            chosen is always masked: leaving it or replacing it by another one now and then (BERT's 80/10/10) brings
            nothing (arXiv 2202.08005).
        mask_token: Default the tokenizer's own, `<mask>` or `[MASK]`, and else `_`, which LLM2Vec takes for models
            that have none.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default their rows are pairs. `.txt` sources
            hold a text a line.
        max_tokens: Longest text; the rest is truncated and counted. At most the model's own limit counts.
        step_tokens: Tokens a step, about.
    """

    objective: Prediction = "masked-next-token"
    mask_share: float | None = Field(default=None, gt=0, lt=1)
    mask_token: str | None = Field(default=None, min_length=1)
    field: str | None = None
    max_tokens: int = Field(default=256, ge=2)
    step_tokens: int = Field(default=8192, ge=2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("mask_share", "mask_token"):
            given = self.objective == "next-token" and getattr(self, key) is not None
            refuse(given, key, f"{key} with objective next-token, which masks nothing")
        return self

    @property
    def predicted_share(self) -> float:
        """Share of the tokens that are predicted."""
        return self.mask_share or _MASK_SHARES.get(self.objective, 1.0)

    @property
    def attention(self) -> AttentionMode:
        """The attention mode in which there is something to learn, and nothing to copy."""
        return "causal" if self.objective == "next-token" else "bidirectional"


class Anchor(Section):
    """Reconstruct the query from the document's vector and the document from the query's (arXiv 2509.03020).

    The data are pairs, and the section `loss` holds beside it. The model itself reconstructs, through one soft token
    and its language-model head, so it has to be causal and to train all of its layers. The matrix that makes the soft
    token is in the checkpoints and not in the model.

    Attributes:
        kind: `anchor`.
        query_weight: Weight of the query given the document's vector.
        document_weight: Weight of the document given the query's vector.
        drop: Share of the decoder's input tokens that are masked, so that it has to read the vector.
        alone: Leave the losses of `loss` out, for a stage before them.
    """

    kind: Literal["anchor"]
    query_weight: float = Field(default=0.8, ge=0, allow_inf_nan=False)
    document_weight: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    drop: float = Field(default=0.5, ge=0, lt=1)
    alone: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        message = "query_weight and document_weight are both 0, which leaves nothing to reconstruct; set one"
        refuse(not (self.query_weight or self.document_weight), "query_weight", message)
        return self


class NGrams(Section):
    """Learn to write n-grams of a query's positives, for generative retrieval (SEAL, arXiv 2204.10628).

    The model is asked as in `slimvec search --generate`, and the loss is that of the next token over the target alone:
    an n-gram of a positive, or its title. The data are pairs, or plain texts, which ask with a span of their own. What
    is trained is the language model, whose head is saved with it; its vectors are not trained. The sections `loss` and
    `batch.pairs` say nothing; `batch.max_query_tokens` holds, the prompt included.

    Attributes:
        kind: `ngrams`.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default `text` for rows that have one and are no
            pairs. `.txt` sources hold a text a line.
        queries: Queries a step.
        targets: Targets of a query each time it comes, drawn anew in each epoch. SEAL has 10.
        tokens: Tokens of an n-gram, as far as the document has them; SEAL has 10 words. Search writes at most 16.
        overlap: How much n-grams are preferred that look like the query. An n-gram is drawn with a probability in
            proportion to e to the power of `overlap` times the share of its characters that stand in runs of four
            characters which the query has too, capitals aside. 0 draws all alike.
        title_share: Share of the targets that are a title, for records that have one.
        span_share: Share of the targets that are asked for by a span of the document, as long as an n-gram, in place of
            the query; the n-gram is then another one, drawn regardless of overlap.
    """

    kind: Literal["ngrams"]
    field: str | None = None
    queries: int = Field(default=32, ge=1)
    targets: int = Field(default=4, ge=1)
    tokens: int = Field(default=10, ge=1, le=16)
    overlap: float = Field(default=5.0, ge=0, le=100)
    title_share: float = Field(default=0.1, ge=0, le=1)
    span_share: float = Field(default=0.1, ge=0, le=1)


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
        unused = self.query == "beginning" and not self.is_default("window_tokens")
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
        strength: How much of the others is added. At 1, as published, the raw SmolLM2-135M predicts no better than
            chance (10.8 nats a token), so that many steps go into getting used to it; at 0.1 as well as alone (3.6).
    """

    kind: Literal["revela"]
    max_tokens: int = Field(default=128, ge=8)
    passages: int = Field(default=8, ge=2)
    weights: Literal["similarity", "uniform"] = "similarity"
    temperature: float = Field(default=0.02, gt=0)
    strength: float = Field(default=0.1, gt=0, allow_inf_nan=False)


class TextVectorsObjective(TextVectors):
    """Learn a teacher's vectors of plain texts; formulas in `slimvec.objectives.text_vectors`.

    The texts are queries and positives of the records, each once, or the rows of plain texts. `loss.mrl_dims` and
    `loss.mrl_weights` hold here too; the rest of `loss` and the pairs of `batch` say nothing.

    Attributes:
        kind: `text-vectors`.
        teachers: Models as in `base.source`. Several are concatenated, each at unit length, so that the cosine is the
            mean of theirs.
        role: The prompt the teachers read the texts with.
        field: Field of plain texts in `.jsonl` and `.parquet` sources; default their rows are records. `.txt` sources
            hold a text a line.
        texts: Texts a step.
        max_tokens: Longest text for the student; the rest is cut off and counted. Teachers cut by their own limits.
        projection: Whether the student's vector goes through a trained matrix before `cosine` compares it. The matrix
            is in the checkpoints and not in the model. Default: where the teacher's is wider than the student's and
            `axes` is `own`.
        axes: `principal` turns the teacher's vectors onto their principal axes over the texts, widest first, which
            leaves all their cosines as they are. The first numbers then say the most, so they are what a narrower
            student and each width of `loss.mrl_dims` should learn. `own` leaves them.
        head_texts: Start the model's linear head (`model.head`) from the ridge regression of the teacher's vectors on
            the pooled states of so many texts; 0 leaves it random.
        refit_texts: Have that head follow the states below it: its regression is solved anew every ten steps, over
            about the last so many texts of the training, each counting the less the longer ago it was. Their states and
            vectors are there, so it costs next to nothing. 0 leaves the head as it starts.
        train_head: Whether that head is trained on. Its numbers are as small as the states are large, so that steps of
            the size an adapter wants would undo the regression; default only a head that starts random.
    """

    kind: Literal["text-vectors"]
    teachers: tuple[str, ...] = Field(min_length=1)
    role: Literal["query", "document"] = "document"
    field: str | None = None
    texts: int = Field(default=64, ge=2)
    max_tokens: int = Field(default=256, ge=2)
    projection: bool | None = None
    axes: Literal["own", "principal"] = "principal"
    head_texts: int = Field(default=0, ge=0)
    refit_texts: int = Field(default=0, ge=0)
    train_head: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        nothing = not (self.cosine or self.gram or self.kl)
        refuse(nothing, "cosine", "cosine, gram and kl are all 0, which leaves nothing to learn; set one")
        twice = len(set(self.teachers)) < len(self.teachers)
        refuse(twice, "teachers", f"teachers {list(self.teachers)} name one twice")
        unused = not self.kl and not self.is_default("temperature")
        refuse(unused, "temperature", "temperature belongs to kl, and kl is 0")
        refuse(self.projection and not self.cosine, "projection", "projection belongs to cosine, and cosine is 0")
        random = self.train_head is False and not self.head_texts
        refuse(random, "train_head", "train_head false without head_texts leaves the head random")
        refit = bool(self.refit_texts)
        message = "refit_texts is about a head that was solved for; set head_texts"
        refuse(refit and not self.head_texts, "refit_texts", message)
        message = "a head is solved anew (refit_texts) or trained (train_head), not both"
        refuse(refit and bool(self.train_head), "refit_texts", message)
        return self

    def projects(self, dims: int, teacher_dims: int) -> bool:
        """Whether a matrix leads from the student's vectors to the teachers'.

        Args:
            dims: Width of the student.
            teacher_dims: Widths of the teachers together.
        """
        wider = teacher_dims > dims and self.axes == "own"
        return wider and bool(self.cosine) if self.projection is None else self.projection

    @property
    def trains_head(self) -> bool:
        """Whether the model's own head is trained."""
        return not self.head_texts if self.train_head is None else self.train_head


class Contrastive(Section):
    """Learn from pairs of a query and a document that answers it, by the section `loss`.

    Attributes:
        kind: The default.
    """

    kind: Literal["contrastive"] = "contrastive"


Objective = Annotated[
    Contrastive | Anchor | NextPhrase | SimCSE | Crops | Revela | NGrams | TextVectorsObjective,
    Field(discriminator="kind"),
]
"""A kind of objective is a section here and an entry in `slimvec.training.run.kinds.KINDS`."""
