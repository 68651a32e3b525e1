"""What is known of a model besides its scores: one type from run.json to the last table.

A *label* is what tables file scores under; two embeddings of one model (another layer, untrained
weights) have two labels and one *name*. Published facts are found by name, scores by label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from geneb_jax.identity import EncoderIdentity
from geneb_jax.results.typed_json import STRICT, from_plain, to_plain

__all__ = [
    "UNTRAINED",
    "YOUNGER_FIELDS",
    "EmbeddingFacts",
    "ModelFacts",
    "Source",
    "Weights",
    "printable",
    "weights_kind",
    "with_variant",
]

Weights = Literal["pretrained", "random", "none"]
Source = Literal["user", "published", "live", "submission"]

#: The word of a variant for random weights.
UNTRAINED = "untrained"
#: What files of earlier releases do not have: of an identity, of what embedding took, of a run.
YOUNGER_FIELDS = frozenset({"overlong", "windowed_sequences", "windows", "request"})
_IN_BRACKETS = (UNTRAINED, "run", "submission")
_TEXTS = (
    "label", "name", "identity_short", "display", "architecture", "tokenization", "corpus", "url"
)  # fmt: skip


def printable(text: str) -> str:
    """Text without control characters and direction marks.

    A name that someone else chose must reach neither a terminal nor a page as it is.
    """
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def weights_kind(weights: str) -> Weights:
    """The kind of weights from an identity's ``weights``: a digest, ``random:SEED`` or ``none``."""
    kind = weights.split(":")[0]
    return "random" if kind == "random" else "none" if kind == "none" else "pretrained"


def with_variant(name: str, variant: Sequence[str]) -> str:
    """A name and what sets this embedding apart from the model's usual one.

    ``("untrained",)`` gives ``tiny-nt-v1 (untrained)``, ``("@layer 6", "cls")`` gives
    ``tiny-nt-v1 @layer 6 cls``.
    """
    words = (f"({word})" if word.split(" ")[0] in _IN_BRACKETS else word for word in variant)
    return " ".join((name, *words))


@dataclass(frozen=True, slots=True)
class EmbeddingFacts:
    """What embedding a model's sequences did and cost in one run.

    Counts of bases and letters are None where the model's own code reads the sequences and does not
    say.

    Attributes:
        embedded: Sequences embedded in the run.
        reused: Sequences that the store had already, or that other processes embedded meanwhile.
        tokens: Tokens of the embedded sequences, padding not included.
        padding_share: Share of the positions that ran and held no token, 0 to 1.
        seconds: Wall time of embedding.
        compile_count: Programs compiled.
        batch_tokens: Tokens a batch at the end (halved when memory ran out).
        buckets: (rows, tokens) of each batch shape, longest first.
        truncated_sequences: Embedded sequences that were longer than the model takes.
        truncated_bp: Bases that were cut off from them.
        unknown_sequences: Embedded sequences with letters other than A, C, G, T.
        unknown_bp: Number of those letters.
        unknown_tokens: Tokens that the model's vocabulary does not know; None where nobody says.
        empty_sequences: Embedded sequences without any token.
        nonfinite_sequences: Sequences whose embeddings held NaN or infinity and were not stored.
        from_others: Those of the reused that other processes embedded during the run.
        left_to_others: Sequences that other parts of the work held when this part was done.
        products: How products were computed, where the dtype does not say it: float32 by parts on
            accelerators.
        windowed_sequences: Embedded sequences that were read in more than one window.
        windows: Windows of all embedded sequences, of most of them one.
    """

    embedded: int
    reused: int
    tokens: int = 0
    padding_share: float = 0.0
    seconds: float = 0.0
    compile_count: int = 0
    batch_tokens: int = 0
    buckets: tuple[tuple[int, int], ...] = ()
    truncated_sequences: int | None = None
    truncated_bp: int | None = None
    unknown_sequences: int | None = None
    unknown_bp: int | None = None
    empty_sequences: int | None = None
    nonfinite_sequences: int = 0
    from_others: int = 0
    left_to_others: int = 0
    products: str = ""
    unknown_tokens: int | None = None
    windowed_sequences: int | None = None
    windows: int | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model besides its scores.

    Attributes:
        label: What its scores are filed under (``model_id`` in tables); unique within a table.
        display: The model's name as people write it, without the variant; the label by default.
        name: The model's own name, such as its id in the registry; the label by default.
        identity: Who made the embeddings; None for published scores and for tables without a run.
        identity_short: First 8 digits of the identity's digest: the column ``identity``.
        variant: What sets this embedding apart from the model's usual one, such as
            ``("untrained", "@layer 6", "cls", "bf16")``; empty for the usual one.
        params: Number of parameters; None where there are none (k-mers) or nobody said.
        architecture: Label of the paper's model table, or "" where unknown; so are the next two.
        tokenization: Tokenization label.
        corpus: Pretraining corpus label.
        weights: "pretrained", "random" (an untrained control) or "none" (no network, as k-mers).
        width: Length of an embedding, where known.
        source: "published" for the paper's 40, "live" for entries that the leaderboard got since,
            "submission" for files that the user gave, "user" for what runs made.
        embedding: What embedding did in the run; None where nothing had to be embedded.
        probing_seconds: Wall time of fitting and scoring; None where nothing had to be fitted.
        units_reused: (task, regime) units that an earlier run had finished.
        url: Where the model is, or "".
    """

    __pydantic_config__ = STRICT

    label: str
    display: str = ""
    name: str = ""
    identity: EncoderIdentity | None = None
    identity_short: str = ""
    variant: tuple[str, ...] = ()
    params: int | None = None
    architecture: str = ""
    tokenization: str = ""
    corpus: str = ""
    weights: Weights = "pretrained"
    width: int | None = None
    source: Source = "user"
    embedding: EmbeddingFacts | None = None
    probing_seconds: float | None = None
    units_reused: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        for field in _TEXTS:
            object.__setattr__(self, field, printable(getattr(self, field)))
        object.__setattr__(self, "variant", tuple(printable(word) for word in self.variant))
        if not self.label:
            raise ValueError("a model has no label")
        object.__setattr__(self, "name", self.name or self.label)
        # A label says the variant already.
        object.__setattr__(
            self, "display", self.display or (self.name if self.variant else self.label)
        )
        if self.identity is not None and not self.identity_short:
            object.__setattr__(self, "identity_short", self.identity.short)
        if self.params is not None and self.params < 0:
            raise ValueError(f"{self.label} has {self.params} parameters")
        object.__setattr__(self, "params", self.params or None)

    @property
    def title(self) -> str:
        """The name that tables show: the displayed one and the variant, told apart as labels are.

        A label that the user chose is shown as it is.
        """
        usual = with_variant(self.name, self.variant)
        mark = self.label.removeprefix(usual)
        if mark == self.label or (mark and not mark.startswith(" #")):
            return self.label
        words = [word for word in self.variant if not self.display.endswith(f"({word})")]
        return with_variant(self.display, words) + mark

    @property
    def baseline(self) -> bool:
        """Whether it is what a trained model must beat: k-mer counts, or an untrained control."""
        return self.weights != "pretrained"

    @property
    def untrained(self) -> bool:
        """Whether the weights are random: a control."""
        return self.weights == "random"

    @property
    def sequences_per_second(self) -> float | None:
        """Embedding throughput of the run; None where nothing was embedded."""
        done = self.embedding
        return done.embedded / done.seconds if done and done.embedded and done.seconds else None

    @property
    def tokens_per_second(self) -> float | None:
        """The same in tokens of the model's own tokenizer."""
        done = self.embedding
        return done.tokens / done.seconds if done and done.tokens and done.seconds else None

    def filled_from(self, other: ModelFacts) -> ModelFacts:
        """These facts, and ``other``'s where these are silent: size, labels, shown name, url."""
        silent = self.display in (self.label, self.name)
        return replace(
            self,
            display=other.display if silent else self.display,
            params=other.params if self.params is None else self.params,
            architecture=self.architecture or other.architecture,
            tokenization=self.tokenization or other.tokenization,
            corpus=self.corpus or other.corpus,
            url=self.url or other.url,
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain data."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, content: object) -> ModelFacts:
        """Undo :meth:`as_dict`.

        Raises:
            ValueError: naming the key, for an unknown, missing or mistyped one.
        """
        return from_plain(cls, content, younger=YOUNGER_FIELDS)
