"""``geneb-jax bench``: how fast this device embeds and probes."""

from __future__ import annotations

import click

from geneb_jax.cli.lazy_group import LazyGroup

__all__ = ["VERBS", "command"]

#: Verb -> its one line in ``--help``; it lives in geneb_jax/cli/bench_<verb>.py as ``command``.
VERBS = {
    "probe": "Batched logistic probes: seconds a protocol and a sweep, against scikit-learn.",
    "embed": "Embedding: tokens and sequences a second of a model.",
}


@click.group(cls=LazyGroup, verbs=VERBS, module="geneb_jax.cli.bench_{}")
def command() -> None:
    """Measure this device, with compilation shown apart."""
