"""How many letters a model's context holds, and the policy for sequences that are longer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.models.encoder import Encoder
from geneb_jax.overlong import TRUNCATE, Overlong, parse_overlong

__all__ = ["context_letters", "with_policy"]

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 16
#: Longest word of a k-mer tokenizer, beyond which nothing more can fit.
_LONGEST_WORD = 16
#: More letters a token than any tokenizer of DNA has on average.
_MOST_LETTERS_A_TOKEN = 64
SomeEncoder = TypeVar("SomeEncoder", bound=Encoder)


def with_policy(encoder: SomeEncoder, asked: str | None) -> SomeEncoder:
    """The model under the policy that was asked for, or its own.

    Where nothing is ever too long (counts, networks without a limit) ``windows`` and ``refuse``
    change nothing, and neither does the identity; that is said. A size given by the user is applied
    to networks without a limit as well.

    Args:
        encoder: The model.
        asked: As :func:`~geneb_jax.overlong.parse_overlong` reads it; None for the model's own.

    Raises:
        SelectionError: if the model cannot carry the policy out, saying what it can.
    """
    own = encoder.spec.context.policy if encoder.spec is not None else str(TRUNCATE)
    overlong = parse_overlong(own if asked is None else asked)
    if overlong.kind == "truncate":
        return encoder
    name = encoder.identity.model_id
    unlimited = encoder.longest_tokens is None
    knows = encoder.counts_of(["ACGT"]) is not None
    if encoder.counts_whole or (unlimited and knows and overlong.size is None):
        why = "counts" if encoder.counts_whole else "reads"
        _LOG.warning("%s %s sequences of any length whole: %s changes nothing", name, why, overlong)
        return encoder
    if not knows and (overlong.kind == "refuse" or overlong.size is None):
        raise SelectionError(
            f"{name} does not say how long a sequence it reads, so that {overlong} cannot be "
            "carried out",
            hint="--overlong windows:SIZE[:STRIDE], with the letters that it takes at once, can",
        )
    return encoder.with_overlong(_settled(encoder, overlong))


def _settled(encoder: Encoder, overlong: Overlong) -> Overlong:
    """The policy with the size of its windows, which the context must hold."""
    if overlong.kind != "windows" or encoder.longest_tokens is None:
        return overlong
    held = context_letters(encoder)
    if overlong.size is None:
        return replace(overlong, size=held)
    if overlong.size > held:
        raise SelectionError(
            f"windows of {overlong.size:,} letters are longer than the context of "
            f"{encoder.identity.model_id}, which holds {held:,} letters "
            f"({encoder.longest_tokens:,} tokens)",
            where="--overlong",
            hint=f"windows:{held} or fewer letters, or windows alone for the context's size",
        )
    return overlong


def context_letters(encoder: Encoder) -> int:
    """Letters that the context holds, of random A, C, G and T.

    Exact for tokenizers of fixed words. Where words vary (BPE), and where letters other than these
    four take more tokens, a text of so many letters may have a few tokens too many.

    Raises:
        ModelError: if it holds none.
    """
    limit = encoder.longest_tokens
    assert limit is not None
    text, held, too_many = "", 0, limit
    parts = _random_letters()
    while too_many <= limit * _MOST_LETTERS_A_TOKEN:
        while len(text) < too_many:
            text += next(parts)
        if _cut(encoder, text[:too_many]):
            break
        held, too_many = too_many, 2 * too_many
    while too_many - held > 1:
        middle = (held + too_many) // 2
        if _cut(encoder, text[:middle]):
            too_many = middle
        else:
            held = middle
    held += _further(encoder, text, held)
    if not held:
        raise ModelError(
            f"a context of {limit} tokens holds no letter", where=encoder.identity.model_id
        )
    return held


def _further(encoder: Encoder, text: str, held: int) -> int:
    """Letters that fit after all: six letters may be one token where five are five."""
    lengths = range(held + 1, min(held + _LONGEST_WORD, len(text)) + 1)
    counts = encoder.counts_of([text[:length] for length in lengths])
    assert counts is not None
    fit = np.flatnonzero(counts.cut_bp == 0)
    return int(fit[-1]) + 1 if len(fit) else 0


def _cut(encoder: Encoder, text: str) -> bool:
    counts = encoder.counts_of([text])
    assert counts is not None
    return bool(counts.cut_bp[0])


def _random_letters() -> Iterator[str]:
    """The same letters each time, however many are asked for."""
    seed = 0
    while True:
        draws = np.random.RandomState(seed).randint(0, 4, _BLOCK)
        yield np.frombuffer(b"ACGT", np.uint8)[draws].tobytes().decode("ascii")
        seed += 1
