"""What a model is before any weight is read: one TOML under ``configs/models``, one frozen record.

The TOML files are the truth and meant to be read by people. Unknown keys are errors. The sections
``[config]`` and ``[tokenizer.options]`` belong to the model's family and to the tokenizer kind,
which check them themselves; nothing here imports JAX.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from geneb_jax.errors import ConfigError

__all__ = [
    "ContextSpec",
    "Labels",
    "Licences",
    "ModelSpec",
    "OracleSpec",
    "PinnedFile",
    "PoolingSpec",
    "SourceSpec",
    "TokenizerSpec",
    "read_spec",
]

_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Labels:
    """The paper's labels (table 4): architecture, tokenization, pretraining corpus."""

    __pydantic_config__ = _CLOSED

    architecture: str
    tokenization: str
    corpus: str


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Where the checkpoint is: a hub repository at a commit, or instructions for a person.

    ``built-in`` models have no checkpoint; ``folder`` is a checkpoint of the user's own.
    """

    __pydantic_config__ = _CLOSED

    kind: Literal["hub", "google-drive", "harvard-dataverse", "zenodo", "built-in", "folder"]
    hub_id: str | None = None
    revision: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of the published checkpoint: path in the repository, SHA-256 (hex), size in bytes.

    The size of a file that is fetched by hand may be unpublished: None.
    """

    __pydantic_config__ = _CLOSED

    name: str
    sha256: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    """Which tokenizer: a kind of :mod:`geneb_jax.tokenizers.choice`, and its options."""

    __pydantic_config__ = _CLOSED

    kind: str
    files: tuple[PinnedFile, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContextSpec:
    """How much of a sequence the model sees.

    Attributes:
        limit: Longest input as GENEB used it, special tokens included, in ``unit``; None for none.
        declared: What the checkpoint itself declares, where it differs in kind or size.
        unit: ``tokens`` or ``bp``.
        overlong: What happens to the rest, in words.
        policy: What happens to it unless ``--overlong`` says otherwise, in that option's words.
    """

    __pydantic_config__ = _CLOSED

    limit: int | None = None
    declared: int | None = None
    unit: Literal["tokens", "bp"] = "tokens"
    overlong: str = "cut off on the right"
    policy: str = "truncate"


@dataclass(frozen=True, slots=True)
class PoolingSpec:
    """How token vectors become one embedding.

    Attributes:
        geneb: As the benchmark's extractor does it.
        default: What is used unless asked otherwise; the same, or its padding-safe form.
        reason: Why the two differ, empty when they do not.
    """

    __pydantic_config__ = _CLOSED

    geneb: str
    default: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Licences:
    """Declared licences; None is unknown, which does not mean free."""

    __pydantic_config__ = _CLOSED

    weights: str | None = None
    code: str | None = None
    tokenizer: str | None = None


@dataclass(frozen=True, slots=True)
class OracleSpec:
    """Recorded embeddings of the real checkpoint, and how near its source came to them."""

    __pydantic_config__ = _CLOSED

    vectors: int
    max_abs: float
    cosine: float


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: identity, source, architecture, tokenizer, pooling, licences.

    Attributes:
        model_id: GENEB's id, which names records and submissions.
        display: The name in tables.
        family: Module of :mod:`geneb_jax.models.families` that builds it.
        parameters: Parameters as the benchmark's metadata count them.
        weights: Published weight files, every format that exists.
        config: The family's own schema.
        notes: Facts a user should know; known defects of the published extractor.
    """

    __pydantic_config__ = _CLOSED

    model_id: str
    display: str
    family: str
    parameters: int
    labels: Labels
    source: SourceSpec
    config: Mapping[str, Any]
    tokenizer: TokenizerSpec
    context: ContextSpec
    pooling: PoolingSpec
    weights: tuple[PinnedFile, ...] = ()
    licence: Licences = Licences()
    oracle: OracleSpec | None = None
    notes: tuple[str, ...] = ()

    @property
    def oracle_available(self) -> bool:
        """Whether the real checkpoint can be verified against a recorded embedding."""
        return self.oracle is not None

    def weight_files(self) -> tuple[PinnedFile, ...]:
        """The files to load: safetensors where they exist, otherwise every published file."""
        preferred = tuple(file for file in self.weights if file.name.endswith(".safetensors"))
        return preferred or self.weights


_ADAPTER: TypeAdapter[ModelSpec] = TypeAdapter(ModelSpec)


def read_spec(text: str, *, where: object) -> ModelSpec:
    """Read a model's TOML.

    Args:
        text: The file's content.
        where: The file, for messages.

    Raises:
        ConfigError: if it is not TOML, lacks a key, has an unknown one or a wrong type.
    """
    try:
        return _ADAPTER.validate_python(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{place}: {first['msg']}", where=where) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"not valid TOML ({error})", where=where) from error
