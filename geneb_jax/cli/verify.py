"""``geneb-jax verify``: a real checkpoint against its recorded embeddings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

__all__ = ["command"]

_SHOWN_BP = 32


@click.command()
@click.argument("model")
@click.option(
    "--path",
    type=click.Path(path_type=Path),
    help="Folder or weight file of the checkpoint; default: the hub, at the pinned revision.",
)
@click.option("--revision", help="Another hub revision than the pinned one.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Compute dtype; default: that of the recorded run.",
)
@click.option("--offline", is_flag=True, help="Open no network connection.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str,
    path: Path | None,
    revision: str | None,
    dtype: str | None,
    offline: bool,
    as_json: bool,
) -> int:
    """Compare the real checkpoint of MODEL, run here, with embeddings recorded from it.

    MODEL is one of the paper's 40, by id or hub id. Its tokens, largest error and cosine are
    printed for every recorded sequence, beside what is allowed.

    Exit codes: 0 every vector passes; 1 one does not; 2 there is nothing to compare.

    \b
    Examples:
      geneb-jax verify DNABERT-S
      geneb-jax verify deepgene --path checkpoints/deepgene
    """
    from geneb_jax.embed.verification import verify
    from geneb_jax.models import LoadOptions, find_spec, load_encoder
    from geneb_jax.models.oracles import oracles_of

    spec = find_spec(model)
    oracles = oracles_of(spec)
    assert spec.oracle is not None
    options = LoadOptions(
        path=path, revision=revision, dtype=dtype or oracles[0].dtype, offline=offline
    )
    encoder = load_encoder(spec.model_id, options)
    checks = verify(encoder, oracles, spec.oracle)
    passed = all(check.passed for check in checks)
    if as_json:
        _print_json(encoder.identity.as_dict(), checks, passed=passed)
    else:
        _print_table(checks)
    return 0 if passed else 1


def _print_json(identity: dict[str, Any], checks: list[Any], *, passed: bool) -> None:
    from geneb_jax.cli.console import print_json

    vectors = [asdict(check) | {"passed": check.passed} for check in checks]
    print_json({"model": identity, "passed": passed, "vectors": vectors})


def _print_table(checks: list[Any]) -> None:
    from geneb_jax.cli.console import print_table

    tokens = {True: "same", False: "differ", None: "not recorded"}
    numbers = ("max abs", "allowed", "1 - cosine", "allowed 1 - cosine")
    print_table(
        ("sequence", "tokens", *numbers, "verdict"),
        [
            (
                _shortened(check.sequence),
                tokens[check.tokens],
                *(
                    f"{number:.2e}"
                    for number in (
                        check.max_abs,
                        check.allowed_max_abs,
                        1 - check.cosine,
                        1 - check.allowed_cosine,
                    )
                ),
                "pass" if check.passed else "FAIL",
            )
            for check in checks
        ],
        right=numbers,
    )


def _shortened(sequence: str) -> str:
    if len(sequence) <= _SHOWN_BP:
        return sequence
    return f"{sequence[: _SHOWN_BP - 3]}... ({len(sequence)} bp)"
