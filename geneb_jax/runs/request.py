"""What the user asks of a run, checked before any work is done."""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from geneb_jax.errors import ConfigError, SelectionError
from geneb_jax.fleet.address import read_scheduler
from geneb_jax.overlong import parse_overlong
from geneb_jax.part import Part, read_part
from geneb_jax.plain_files import read_plain_text
from geneb_jax.results.labels import require_label
from geneb_jax.runs.places import DEMO_OUT, OUT
from geneb_jax.runs.probe_kinds import find_probe
from geneb_jax.runs.variant_options import Layers, read_layers, read_poolings

__all__ = [
    "DEMO_MODELS",
    "RunRequest",
    "request_from_mapping",
    "request_from_toml",
]

#: What `geneb-jax run` embeds when no model is named: two counts of words, which take seconds, then
#: an untrained network, the control that any trained one must beat.
DEMO_MODELS = ("kmer-4", "kmer-6", "tiny-nt-v2")
#: Sequences of a batch in the benchmark's harness, unless it is told otherwise.
HARNESS_BATCH = 8
_LARGEST_FILE_BYTES = 2**22
_LONGEST_SHOWN = 200


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _path(value: object) -> object:
    if value == "":
        raise ValueError("a path is needed, not an empty text")
    return Path(value) if isinstance(value, str) else value


def _floats(value: object) -> object:
    if not isinstance(value, list | tuple):
        return value
    return tuple(float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value)


def _without_repeats(what: str) -> AfterValidator:
    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) < len(values):
            raise ValueError(f"{what} is given twice")
        return values

    return AfterValidator(check)


def _strength(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"C must be a finite number above 0, not {value}")
    return value


def _seed(value: int) -> int:
    if not 0 <= value < 2**32:
        raise ValueError(f"a seed lies between 0 and 2**32 - 1, not {value}")
    return value


def _policy(text: str) -> str:
    try:
        parse_overlong(text)
    except SelectionError as error:
        raise ValueError(". ".join(filter(None, (error.what, error.hint)))) from error
    return text


def _scheduler(value: str) -> str:
    read_scheduler(value)
    return value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_tuple)]
Place = Annotated[Path, BeforeValidator(_path)]
Strengths = Annotated[
    tuple[Annotated[float, AfterValidator(_strength)], ...],
    BeforeValidator(_floats),
    _without_repeats("a value of C"),
]
Seeds = Annotated[
    tuple[Annotated[int, AfterValidator(_seed)], ...],
    BeforeValidator(_tuple),
    _without_repeats("a seed"),
]


class RunRequest(BaseModel):
    """One run: which models, on which tasks, probed how, written where.

    Its fields are the command line's long options with underscores, and the keys of a run file.
    Empty tuples mean the suite's own choice: all its tasks, regimes, seeds, and its protocol's C.
    With neither models nor data named, the request is the built-in demo.

    Attributes:
        model: Model ids, hub ids, folders, ``torch:...``, ``path.py:Class``.
        name: Label of the one model in tables; None for its own name.
        solver: Of the probe; its default when None.
        as_harness: Whether extractor modules are called as the benchmark's harness calls them: a
            whole split at a time, in file order, nothing de-duplicated.
        batch_size: The batch size that they are then given; the harness's own when None.
        pooling: Names, a comma list; None for the model's own.
        layer: Hidden state to pool.
        layers: Several of them from one forward: ``all``, or numbers.
        update_suite: Whether to take a folder over to the suite as it is now defined.
        overlong: What happens to a sequence longer than a model's context
            (:mod:`geneb_jax.overlong`); each model's own way when None.
        part: ``I/N``: this process is one of N on one store; ``auto``: as the environment says.
        scheduler: Who does the work: ``local:N`` workers of this machine, or those of the Dask
            scheduler at this address.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    model: Annotated[Texts, AfterValidator(lambda names: tuple(dict.fromkeys(names)))] = ()
    suite: str = "geneb"
    data_dir: Place | None = None
    task: Texts = ()
    regime: Texts = ()
    seed: Seeds = ()
    C: Strengths = ()
    probe: str = "logistic"
    solver: str | None = None
    weights: Literal["pretrained", "random"] = "pretrained"
    name: str | None = None
    path: Place | None = None
    allow_remote_code: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    pooling: str | None = None
    layer: int = -1
    overlong: Annotated[str, AfterValidator(_policy)] | None = None
    layers: Annotated[Layers, BeforeValidator(read_layers)] = ()
    batch_tokens: int | None = Field(default=None, ge=1)
    as_harness: bool = False
    batch_size: int | None = Field(default=None, ge=1)
    out: Place = Path(OUT)
    store: Text | None = None
    offline: bool = False
    fresh: bool = False
    update_suite: bool = False
    part: Text | None = None
    scheduler: Annotated[Text, AfterValidator(_scheduler)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _demo(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        if not filled.get("suite"):
            filled["suite"] = "geneb" if filled.get("data_dir") else "demo"
        if filled["suite"] == "demo":
            filled.setdefault("model", DEMO_MODELS)
            filled["model"] = filled["model"] or DEMO_MODELS
            filled.setdefault("out", DEMO_OUT)
        return filled

    @model_validator(mode="after")
    def _probe(self) -> Self:
        kind = find_probe(self.probe)
        if self.solver is not None and self.solver not in kind.solvers:
            raise ValueError(
                f"the probe {kind.name} has no solver {self.solver!r:.200}: it has "
                f"{', '.join(kind.solvers)}"
            )
        if self.C and not kind.uses_C:
            raise ValueError(f"the probe {kind.name} has no C")
        return self

    @model_validator(mode="after")
    def _harness(self) -> Self:
        if self.batch_size is not None and not self.as_harness:
            raise ValueError(
                "--batch-size is the harness's, for --as-harness; elsewhere batches change no "
                "embedding, and --batch-tokens bounds their memory"
            )
        if self.as_harness and self.overlong is not None:
            raise ValueError(
                "--as-harness calls the extractor as it is; --overlong has no part in it"
            )
        if self.as_harness and self.batch_tokens is not None:
            raise ValueError("--as-harness takes --batch-size, not --batch-tokens")
        return self

    @model_validator(mode="after")
    def _variants(self) -> Self:
        read_poolings(self.pooling)
        if self.layers and self.layer != -1:
            raise ValueError("--layer is one layer and --layers are several: give one of them")
        return self

    @property
    def poolings(self) -> tuple[str | None, ...]:
        """The poolings asked for; (None,) for the model's own."""
        return read_poolings(self.pooling)

    @property
    def many_variants(self) -> bool:
        """Whether several layers or poolings of a model are asked for."""
        return self.layers == "all" or len(self.layers) > 1 or len(self.poolings) > 1

    @model_validator(mode="after")
    def _divided(self) -> Self:
        if self.part is not None and self.as_harness:
            raise ValueError(
                "--as-harness embeds whole splits in file order, which --part cannot divide"
            )
        if self.scheduler is not None and self.as_harness:
            raise ValueError(
                "--as-harness embeds whole splits in file order in one process; --scheduler "
                "divides the work"
            )
        if self.scheduler is not None and self.part is not None:
            raise ValueError(
                "--part and --scheduler both divide the work: give one of them; parts need no "
                "scheduler"
            )
        return self

    @property
    def own_part(self) -> Part | None:
        """Which part of the work this process is; None where nobody divides it.

        Raises:
            ConfigError: if ``part`` is no part, or the environment names none.
        """
        return None if self.part is None else read_part(self.part, os.environ)

    @property
    def harness_batch(self) -> int | None:
        """Sequences of a batch with ``as_harness``; None without."""
        return (self.batch_size or HARNESS_BATCH) if self.as_harness else None

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        for option, value in (("path", self.path), ("name", self.name)):
            if value is not None and len(self.model) != 1:
                raise ValueError(
                    f"--{option} is about one model, and {len(self.model)} models are named: run "
                    "them one by one into the same --out"
                )
        if self.name is not None:
            require_label(self.name)
        return self


def request_from_mapping(values: dict[str, Any], *, where: object = None) -> RunRequest:
    """Check plain values (from the command line or a file) and make a request of them.

    Raises:
        ConfigError: for an unknown key or an impossible value, naming it.
    """
    try:
        request = RunRequest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        text = _in_our_words(first, key)
        raise ConfigError(
            f"{key}: {text}" if key else text,
            where=where,
            hint="see geneb-jax run --help for the options and their values",
        ) from error
    if not request.model:
        raise ConfigError(
            "no model is named",
            where=where,
            hint="give one with -m, for example -m kmer-4; 'geneb-jax list models' shows all",
        )
    return request


#: pydantic's kind of error -> what is wanted; its own words speak of Python.
_WANTED = {
    "string_type": "text is wanted",
    "string_too_short": "it is empty",
    "bool_type": "true or false is wanted",
    "int_type": "a whole number is wanted",
    "float_type": "a number is wanted",
    "tuple_type": "a list is wanted",
    "is_instance_of": "a path is wanted",
}


def _in_our_words(error: ErrorDetails, key: str) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(key, RunRequest.model_fields, n=1, cutoff=0.4)
        return "there is no such option" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        return f"{_shown(error['input'])} is not one of {error['ctx']['expected']}"
    if kind == "greater_than_equal":
        return f"it must be at least {error['ctx']['ge']}, not {_shown(error['input'])}"
    wanted = _WANTED.get(kind, error["msg"])
    return wanted if error["input"] in ("", None) else f"{wanted}, not {_shown(error['input'])}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def request_from_toml(path: Path, overrides: dict[str, Any]) -> RunRequest:
    """Read a run file and let ``overrides`` (the options given on the command line) win.

    Raises:
        ConfigError: if the file is missing, not TOML, or has unknown keys.
    """
    try:
        values = tomllib.loads(read_plain_text(path, largest_bytes=_LARGEST_FILE_BYTES))
    except FileNotFoundError as error:
        raise ConfigError(
            "no such run file",
            where=path,
            hint='check --config; it names a TOML file with lines such as model = ["kmer-4"]',
        ) from error
    except (ValueError, RecursionError, OSError) as error:
        raise ConfigError(
            f"cannot be read as TOML ({error})",
            where=path,
            cause="texts need quotes and lists brackets",
            hint='a run file has lines such as model = ["kmer-4"] and data_dir = "tasks"',
        ) from error
    return request_from_mapping(values | overrides, where=path)
