"""The options that run, embed, probe and plan share, and the request they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from geneb_jax.cli.open_choice import OpenChoice
from geneb_jax.plugins import PROBES, SOLVERS
from geneb_jax.runs.places import DEMO_OUT, OUT
from geneb_jax.runs.probe_kinds import own_solver_names, probe_kinds

if TYPE_CHECKING:
    from geneb_jax.runs.request import RunRequest

__all__ = [
    "embedding_options",
    "make_request",
    "number_list",
    "part_option",
    "place_options",
    "probe_options",
    "repeated_run",
    "scheduler_option",
    "task_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])


def _stack(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def number_list(kind: type[int] | type[float]) -> Callable[..., tuple[float, ...]]:
    """A callback that reads repeated, comma-separated numbers."""

    def read(
        context: click.Context, parameter: click.Parameter, values: Sequence[str]
    ) -> tuple[float, ...]:
        numbers: list[float] = []
        for text in ",".join(values).split(","):
            if not text.strip():
                continue
            try:
                numbers.append(kind(text))
            except ValueError as error:
                raise click.BadParameter(f"{text.strip()!r} is not a number") from error
        return tuple(numbers)

    return read


task_options = _stack(
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Folder of task files: <task_id>.csv, .csv.gz, or tasks/<task_id>/{train,test}.csv.",
    ),
    click.option(
        "--suite",
        help="geneb (default with --data-dir), demo, or a folder with a suite.toml.",
    ),
    click.option(
        "-t",
        "--task",
        multiple=True,
        help="Task id, glob, or category:NAME. Repeatable; default: every task with a file.",
    ),
)

embedding_options = _stack(
    click.option(
        "-m",
        "--model",
        multiple=True,
        help="Model id, hub id (either also with @COMMIT), folder, torch:ID-OR-FOLDER, or "
        "path.py:Class. Repeatable.",
    ),
    click.option(
        "--weights",
        type=click.Choice(["pretrained", "random"]),
        default="pretrained",
        show_default=True,
        help="random: the untrained control, no download.",
    ),
    click.option(
        "--path", type=click.Path(path_type=Path), help="Weights of the model named by id with -m."
    ),
    click.option(
        "--allow-remote-code",
        metavar="ORG/MODEL@COMMIT",
        help="Let torch: run the code of this repository at this commit (or of a folder).",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
        help="Compute dtype of the model; auto: bfloat16 on GPU and TPU, float32 on CPU.",
    ),
    click.option(
        "--pooling",
        help="mean, cls, last, penultimate or max, each also with +normalize behind; or geneb; "
        "a comma list of them, from one forward. Default: the model's own.",
    ),
    click.option("--layer", type=int, default=-1, show_default=True, help="Hidden state to pool."),
    click.option(
        "--layers",
        metavar="all|0,6,12",
        help="Several hidden states from one forward: 0 is the embeddings, -1 the last.",
    ),
    click.option(
        "--overlong",
        metavar="truncate|windows[:SIZE[:STRIDE]]|refuse",
        help="A sequence longer than the context: cut off (as the benchmark does), the mean over "
        "windows, or an error. SIZE and STRIDE are letters (nt); windows alone: as many as the "
        "context holds, half of them apart. Default: the model's own, nearly always truncate.",
    ),
    click.option(
        "--name",
        help="What tables call the model. Default: its name, and what sets this variant apart.",
    ),
    click.option("--batch-tokens", type=int, help="Token budget of one batch; default: automatic."),
    click.option(
        "--as-harness",
        is_flag=True,
        help="Call extractor modules (path.py:Class) as the benchmark's harness does: a split at a "
        "time, in file order, repeats included. Batch effects are then part of the score.",
    ),
    click.option(
        "--batch-size", type=int, help="With --as-harness: the extractor's batch size. Default: 8."
    ),
)

probe_options = _stack(
    click.option("--regime", multiple=True, help="full, 10shot, 1shot. Repeatable; default: all."),
    click.option(
        "--C",
        "C",
        multiple=True,
        callback=number_list(float),
        help="Inverse regularisation strengths, comma list. Default: the protocol's 1.",
    ),
    click.option(
        "--seed",
        multiple=True,
        callback=number_list(int),
        help="Few-shot seeds, comma list. Default: the protocol's five.",
    ),
    click.option(
        "--probe",
        type=OpenChoice(list(probe_kinds()), PROBES),
        default="logistic",
        show_default=True,
    ),
    click.option(
        "--solver",
        type=OpenChoice(own_solver_names(), (PROBES, SOLVERS)),
        help="reference: scikit-learn up to 1.8 in float64, kin of the published scores; "
        "reference32: scikit-learn 1.9 and later in float32, beside a harness run of today; "
        "exact: the optimum. Default: the probe's first, see 'geneb-jax list probes'.",
    ),
)

part_option = click.option(
    "--part",
    metavar="I/N",
    help="This process is one of N that share --store: its share of the sequences first, then what "
    "nobody else has taken. auto: as Slurm, Grid Engine, LSF, MPI or a TPU pod says.",
)

scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS|local:N",
    help="Hand the work to many workers: local:N starts N of them here, each with a GPU or a share "
    "of the cores; tcp://HOST:PORT is a Dask scheduler. See docs/cluster.md.",
)

place_options = _stack(
    click.option(
        "--out",
        help=f"Folder for the results, of one suite. Default: {OUT}; the demo's: {DEMO_OUT}.",
    ),
    click.option(
        "--update-suite",
        is_flag=True,
        help="Take --out over to the suite as it is now, where its definition changed.",
    ),
    click.option("--store", help="Embedding store: folder or URL. Default: the user's cache."),
    click.option("--offline", is_flag=True, help="Open no network connection."),
    click.option("--fresh", is_flag=True, help="Ignore finished records and fit again."),
    click.option(
        "--config",
        help="TOML file of options, a preset of 'geneb-jax list presets', or the run.json of a run "
        "to repeat; options on the command line win.",
    ),
)


def make_request(
    context: click.Context, values: dict[str, Any], *, extra: dict[str, Any] | None = None
) -> RunRequest:
    """Merge the run file and the options that were really typed into one checked request.

    Args:
        context: Knows which options were typed.
        values: The options' values.
        extra: What the verb itself decides; wins over everything.

    Raises:
        ConfigError: see :func:`geneb_jax.runs.request.request_from_mapping`.
    """
    from geneb_jax.runs.request import request_from_mapping
    from geneb_jax.runs.run_files import request_from_file

    typed = _typed(context, values) | (extra or {})
    config: str | None = values.get("config")
    if config is not None:
        return request_from_file(config, typed)
    return request_from_mapping(typed)


def repeated_run(context: click.Context, values: dict[str, Any]) -> Path | None:
    """The run.json that is to be repeated as it is; None where options make another run of it."""
    from geneb_jax.runs.repeat import changes_scores
    from geneb_jax.runs.run_files import RUN_JSON

    config: str | None = values.get("config")
    if config is None or Path(config).name != RUN_JSON:
        return None
    return None if changes_scores(_typed(context, values)) else Path(config).expanduser()


def _typed(context: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as a run file would have them."""
    return {
        name: _plain(value)
        for name, value in values.items()
        if name != "config" and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
