"""What the user asks of a run, checked before any work is done."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from geneb_jax.errors import ConfigError

__all__ = ["PROBES", "SOLVERS", "RunRequest", "request_from_mapping", "request_from_toml"]

#: Probe -> what it is; the first is the benchmark's.
PROBES = {
    "logistic": "L2 logistic regression, the benchmark's probe",
    "mlp": "one hidden layer of 256 ReLU units, early stopping (paper, appendix on probes)",
}
SOLVERS = {
    "reference": "scikit-learn's L-BFGS trajectory and stopping rule: the published score",
    "exact": "the minimum of the same objective",
}

Probe = Literal["logistic", "mlp"]
Solver = Literal["reference", "exact"]
Weights = Literal["pretrained", "random"]

#: What `geneb-jax run` embeds when no model is named: two counts of words, two untrained networks.
DEMO_MODELS = ("kmer-4", "kmer-6", "tiny-nt-v1", "tiny-nt-v2")


class _RunFile(BaseModel):
    """A run file's keys; they are the command line's long options with underscores."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: list[str] = Field(default_factory=list)
    suite: str | None = None
    data_dir: str | None = None
    task: list[str] = Field(default_factory=list)
    regime: list[str] = Field(default_factory=list)
    seed: list[int] = Field(default_factory=list)
    C: list[float] = Field(default_factory=list)
    probe: Probe = "logistic"
    solver: Solver = "reference"
    weights: Weights = "pretrained"
    path: str | None = None
    allow_remote_code: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    pooling: str | None = None
    layer: int = -1
    batch_tokens: int | None = Field(default=None, ge=1)
    out: str = "geneb-out"
    store: str | None = None
    offline: bool = False
    fresh: bool = False

    @field_validator("C", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return [float(v) if isinstance(v, int) else v for v in value]

    @field_validator("C")
    @classmethod
    def _positive(cls, value: list[float]) -> list[float]:
        for strength in value:
            if not (math.isfinite(strength) and strength > 0):
                raise ValueError(f"C must be a finite number above 0, not {strength}")
        if len(set(value)) < len(value):
            raise ValueError("a value of C is given twice")
        return value

    @field_validator("seed")
    @classmethod
    def _seeds(cls, value: list[int]) -> list[int]:
        for seed in value:
            if not 0 <= seed < 2**32:
                raise ValueError(f"a seed lies between 0 and 2**32 - 1, not {seed}")
        if len(set(value)) < len(value):
            raise ValueError("a seed is given twice")
        return value


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run: which models, on which tasks, probed how, written where.

    Empty tuples mean the suite's own choice: all its tasks, regimes, seeds, and its protocol's C.
    """

    models: tuple[str, ...]
    suite: str
    data_dir: Path | None
    tasks: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    C: tuple[float, ...] = ()
    probe: Probe = "logistic"
    solver: Solver = "reference"
    weights: Weights = "pretrained"
    path: Path | None = None
    allow_remote_code: str | None = None
    dtype: str = "float32"
    pooling: str | None = None
    layer: int = -1
    batch_tokens: int | None = None
    out: Path = Path("geneb-out")
    store: str | None = None
    offline: bool = False
    fresh: bool = False


def request_from_mapping(values: dict[str, Any], *, where: object = None) -> RunRequest:
    """Check plain values (from the command line or a file) and make a request of them.

    With neither models nor data named, the request is the built-in demo.

    Raises:
        ConfigError: for an unknown key or an impossible value, naming it.
    """
    try:
        checked = _RunFile.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{key}: {first['msg'].removeprefix('Value error, ')}",
            where=where,
            hint="see geneb-jax run --help for the options and their values",
        ) from error
    suite = checked.suite or ("geneb" if checked.data_dir else "demo")
    models = tuple(dict.fromkeys(checked.model)) or (DEMO_MODELS if suite == "demo" else ())
    if not models:
        raise ConfigError(
            "no model is named",
            where=where,
            hint="give one with -m, for example -m kmer-4; 'geneb-jax list models' shows all",
        )
    if checked.path and len(models) != 1:
        raise ConfigError(
            f"--path names the weights of one model, and {len(models)} models are named",
            where=where,
            hint="run the models one by one into the same --out",
        )
    return RunRequest(
        models=models,
        suite=suite,
        data_dir=Path(checked.data_dir) if checked.data_dir else None,
        tasks=tuple(checked.task),
        regimes=tuple(checked.regime),
        seeds=tuple(checked.seed),
        C=tuple(checked.C),
        probe=checked.probe,
        solver=checked.solver,
        weights=checked.weights,
        path=Path(checked.path) if checked.path else None,
        allow_remote_code=checked.allow_remote_code,
        dtype=checked.dtype,
        pooling=checked.pooling,
        layer=checked.layer,
        batch_tokens=checked.batch_tokens,
        out=Path(checked.out),
        store=checked.store,
        offline=checked.offline,
        fresh=checked.fresh,
    )


def request_from_toml(path: Path, overrides: dict[str, Any]) -> RunRequest:
    """Read a run file and let ``overrides`` (the options given on the command line) win.

    Raises:
        ConfigError: if the file is missing, not TOML, or has unknown keys.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("no such run file", where=path, hint="check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"cannot be read as TOML ({error})", where=path) from error
    return request_from_mapping(values | overrides, where=path)
