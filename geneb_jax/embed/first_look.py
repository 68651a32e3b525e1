"""Whether a model can tell sequences apart at all: looked at before hours are spent on it.

A tokenizer that knows none of the letters gives every sequence the same few tokens, and the same
vector. Nothing fails, and every score is that of guessing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from geneb_jax.embed.report import EmbedReport
from geneb_jax.models.encoder import Encoder, TokenEncoder
from geneb_jax.tokenizers import TokenizedBatch

__all__ = [
    "cut_off",
    "in_windows",
    "look_at_rows",
    "look_at_tokens",
    "other_letters",
    "unknown_share",
]

#: Sequences that are looked at.
_SAMPLE = 256
#: Share of unknown tokens from which it is said.
_NOTABLE_SHARE = 0.01
_PROTEIN = re.compile("[DEFHIKLPQRSVWY]", re.IGNORECASE)
_LOWER = re.compile("[acgt]")


def look_at_tokens(encoder: Encoder, texts: Sequence[str]) -> str | None:
    """What is wrong with the tokens of some sequences, or None.

    Args:
        encoder: The model; one that tokenizes by itself shows no tokens.
        texts: Distinct sequences; some 256 of them are looked at.

    Returns:
        A sentence with the likely cause and the next step.
    """
    sample = [text for text in texts[:: max(1, len(texts) // _SAMPLE)][:_SAMPLE] if text]
    if not isinstance(encoder, TokenEncoder) or len(sample) < 2:
        return None
    tokens = encoder.tokenize_many(sample)
    unknown = _all_unknown(encoder, tokens)
    count, total = int(unknown.sum()), len(sample)
    name = encoder.identity.model_id
    if count:
        whose = f"all {total}" if count == total else f"{count} of {total}"
        return (
            f"{name}: every token of {whose} sequences looked at is unknown to its vocabulary, so "
            f"these have one vector per length at most. {_cause(encoder, sample)}"
        )
    different = {part.tobytes() for part in _parts(tokens)}
    if len(different) == 1:
        return (
            f"{name}: the tokens of all {total} sequences looked at are the same, and so will be "
            f"their vectors. {_cause(encoder, sample)}"
        )
    return None


def look_at_rows(encoder: Encoder, rows: np.ndarray) -> str | None:
    """A sentence if the vectors of different sequences are all equal; else None."""
    if len(rows) < 2 or float(np.ptp(rows, axis=0).max()) > 0.0:
        return None
    return (
        f"{encoder.identity.model_id}: the vectors of all {len(rows)} sequences looked at are "
        "equal, so every probe guesses. Likely its tokenizer does not know the letters, or the "
        "pooling takes a token that sees no other (a first token of a left-to-right model): "
        "compare Model.tokenize of two sequences, try --pooling mean"
    )


def unknown_share(tokens: int, unknown: int | None, name: str) -> str | None:
    """A sentence if a notable part of the tokens is unknown; else None."""
    if not unknown or unknown < _NOTABLE_SHARE * tokens:
        return None
    return (
        f"{name}: {unknown:,} of {tokens:,} tokens ({unknown / tokens:.0%}) are unknown to its "
        "vocabulary"
    )


def cut_off(report: EmbedReport, total: int) -> str | None:
    """A sentence if sequences were longer than the context and lost their ends; else None.

    Args:
        report: Its counts are of ``total`` sequences.
        total: Sequences, distinct.
    """
    if not report.truncated_sequences:
        return None
    return (
        f"{report.truncated_sequences:,} of {total:,} sequences are longer than the model takes: "
        f"{report.truncated_bp or 0:,} letters were cut off (--overlong windows reads them)"
    )


def in_windows(report: EmbedReport, total: int) -> str | None:
    """A sentence if sequences were read in several windows; else None.

    A window may be smaller than the context, so the sentence is of windows and not of the model.
    """
    if not report.windowed_sequences:
        return None
    pieces = (report.windows or 0) - (total - report.windowed_sequences)
    return (
        f"{report.windowed_sequences:,} of {total:,} sequences are longer than a window and are "
        f"the mean over {pieces:,} windows; nothing was cut off"
    )


def other_letters(report: EmbedReport, total: int) -> str | None:
    """A sentence if some sequences hold letters other than A, C, G, T; else None."""
    if not report.unknown_sequences:
        return None
    return (
        f"{report.unknown_sequences:,} of {total:,} sequences hold letters other than "
        f"A, C, G, T: {report.unknown_bp or 0:,} in all. U is one of them: where the sequences are "
        "RNA and the model is of DNA, turn U into T first"
    )


def _parts(tokens: TokenizedBatch) -> list[np.ndarray]:
    return np.split(tokens.ids, tokens.starts[1:-1])


def _all_unknown(encoder: TokenEncoder, tokens: TokenizedBatch) -> np.ndarray:
    """Bool ``[sequence]``: has unknown tokens and, special ones aside, no others."""
    if encoder.unknown_id is None:
        return np.zeros(len(tokens.starts) - 1, bool)
    special = set(encoder.tokenize("").ids.tolist()) - {encoder.unknown_id}
    own = [part[~np.isin(part, list(special))] for part in _parts(tokens)]
    return np.array([bool(len(part)) and bool((part == encoder.unknown_id).all()) for part in own])


def _cause(encoder: TokenEncoder, sample: Sequence[str]) -> str:
    word = getattr(getattr(encoder, "tokenizer", None), "shortest_word", None)
    letters = "".join(sample[:20])
    if len(_PROTEIN.findall(letters)) > 0.3 * len(letters):
        return "They look like proteins: a model of DNA reads A, C, G and T."
    if word is not None and word > 1:
        return (
            f"Its vocabulary holds words of {word} letters, to be parted by spaces, and the folder "
            "does not say how a sequence is cut into them: it needs the model's own tokenizer "
            f"(an extractor, -m FILE.py:Class, that writes overlapping {word}-mers)."
        )
    if len(_LOWER.findall(letters)) > 0.5 * len(letters):
        return "They are in lower case: write them in capitals if its vocabulary has only those."
    return "The tokenizer files of the folder do not belong to DNA, or not to this model."
