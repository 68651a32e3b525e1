"""``geneb-jax bench probe``: seconds of batched probes on this device, on features of any size."""

from __future__ import annotations

import click

from geneb_jax.cli.run_options import number_list

__all__ = ["command"]


@click.command()
@click.option("--rows", default=10_000, show_default=True, help="Training rows of a task.")
@click.option("--dim", default=512, show_default=True, help="Width of the embeddings.")
@click.option("--classes", default=2, show_default=True, help="Classes.")
@click.option("--tasks", default=1, show_default=True, help="Tasks fitted in one call.")
@click.option(
    "--C",
    "strengths",
    multiple=True,
    default=("0.01,0.1,1,10,100",),
    show_default=True,
    callback=number_list(float),
    help="The sweep, comma list.",
)
@click.option("--repeats", default=3, show_default=True, help="Timed calls after the first.")
@click.option("--sklearn", "peer", is_flag=True, help="Time scikit-learn's loop too, if installed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    rows: int,
    dim: int,
    classes: int,
    tasks: int,
    strengths: tuple[float, ...],
    repeats: int,
    peer: bool,
    as_json: bool,
) -> None:
    """Seconds of the benchmark's protocol and of a sweep over C, on made-up embeddings.

    The protocol is the full regime, 10-shot and 1-shot, five seeds, C = 1, by the reference solver
    (scikit-learn up to 1.8); the sweep is the full regime for every C by the exact solver. Both
    predict and score the test rows. The first call compiles and is shown apart.

    \b
    Examples:
      geneb-jax bench probe
      geneb-jax bench probe --rows 15000 --dim 2560 --tasks 4 --json
      geneb-jax bench probe --rows 2000 --dim 256 --sklearn
    """
    from geneb_jax.cli.console import print_json, print_table
    from geneb_jax.runs.probe_throughput import measure_probes

    if min(rows, dim, tasks, repeats) < 1 or classes < 2 or rows < classes:
        raise click.UsageError("--rows, --dim, --tasks, --repeats from 1; --classes from 2 to rows")
    from geneb_jax_probes import ProbeOptionError
    from geneb_jax_probes.problem import check_C

    try:
        check_C(strengths)
    except ProbeOptionError as error:
        raise click.UsageError(str(error)) from error
    try:
        found = measure_probes(rows, dim, classes, tasks, strengths, repeats, peer=peer)
    except ImportError as error:
        raise click.UsageError("--sklearn needs scikit-learn: pip install scikit-learn") from error
    if as_json:
        print_json(found)
        return
    about = f"{found['device']}: {tasks} tasks of {rows} x {dim}, {classes} classes"
    print_table(
        ("what", "fits", "first call, s", "later calls, s", "fits a second", "scikit-learn, s"),
        [
            (
                part["what"],
                part["fits"],
                f"{part['first_seconds']:.2f}",
                f"{part['seconds']:.3f}",
                f"{part['fits'] / part['seconds']:.0f}",
                None if part["sklearn_seconds"] is None else f"{part['sklearn_seconds']:.2f}",
            )
            for part in found["parts"]
        ],
        title=about,
        right=("fits", "first call, s", "later calls, s", "fits a second", "scikit-learn, s"),
    )
