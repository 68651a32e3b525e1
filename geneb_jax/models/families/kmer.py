"""k-mer frequencies as a model: no weights, no training, the baseline every model has to beat.

The embedding of a sequence is the frequency of each window of k letters over A, C, G, T. Columns
are the windows read as base-4 numbers in that order of letters. Letter case does not matter. Every
other letter, U and the IUPAC codes included, breaks the windows that hold it and is counted as
unknown. A sequence without any whole window is all zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models.encoder import TokenEncoder, TokenizedBatch, TokenizedSequence
from geneb_jax.models.load_options import LoadOptions

__all__ = ["KmerEncoder", "build_kmer_encoder"]

LETTERS = "ACGT"
OTHER = len(LETTERS)
SHORTEST_K, LONGEST_K = 1, 6
_BLOCK_BP = 1 << 20  # small enough that the passes of _codes stay in cache

_TOKENIZER = "letters ACGT to 0..3 whatever their case; every other character to 4"


def _codes(text: np.ndarray) -> np.ndarray:
    """Codes of ASCII bytes, uint8 ``[n]``; by arithmetic, which NumPy does many bytes at a time.

    Bits 1 and 2 of A, C, T, G are 0, 1, 2, 3 in either case; ``x ^ (x >> 1)`` swaps the last two.
    """
    upper = text & 0xDF
    known = np.zeros(len(text), bool)
    for letter in LETTERS:
        known |= upper == ord(letter)
    bits = (text >> 1) & 3
    bits ^= bits >> 1
    return np.where(known, bits, np.uint8(OTHER))


class KmerEncoder(TokenEncoder):
    """Frequencies of overlapping ``k``-mers: float32, ``4**k`` wide."""

    params: Any = ()
    pad_id = OTHER
    #: Counting is bound by memory, not arithmetic: a batch that stays in cache is the fastest.
    batch_tokens = 1 << 17
    any_rows = True

    counts_whole = True

    def __init__(self, k: int) -> None:
        self.k = k

    @property
    def identity(self) -> EncoderIdentity:
        """The store key: a built-in model has no weights, its code version stands for them."""
        return EncoderIdentity(
            model_id=f"kmer-{self.k}",
            revision="built-in",
            weights="none",
            tokenizer=hashlib.sha256(_TOKENIZER.encode()).hexdigest(),
            pooling="frequency",
            layer=-1,
            dtype="float32",
            code="kmer/1",
        )

    unknown_id = OTHER

    @property
    def width(self) -> int:
        """``4**k`` columns."""
        return len(LETTERS) ** self.k

    def tokenize(self, sequence: str) -> TokenizedSequence:
        """One code a letter: 0..3 for A, C, G, T in either case, 4 for any other character."""
        batch = self.tokenize_many([sequence])
        return TokenizedSequence(
            ids=batch.ids.astype(np.int32), unknown_bp=int(batch.unknown_bp[0])
        )

    def tokenize_many(self, sequences: Sequence[str]) -> TokenizedBatch:
        """The same for many sequences, vectorised over their joined bytes (uint8 codes)."""
        starts = np.zeros(len(sequences) + 1, np.int64)
        np.cumsum([len(sequence) for sequence in sequences], out=starts[1:])
        ids = np.empty(starts[-1], np.uint8)
        unknown_bp = np.zeros(len(sequences), np.int64)
        first = 0
        while first < len(sequences):
            last = max(
                first + 1, int(np.searchsorted(starts, starts[first] + _BLOCK_BP, "right")) - 1
            )
            # "replace" writes one byte for each character that is not ASCII, so lengths stay.
            joined = "".join(sequences[first:last]).encode("ascii", "replace")
            codes = _codes(np.frombuffer(joined, np.uint8))
            ids[starts[first] : starts[last]] = codes
            others = np.flatnonzero(codes == OTHER) + starts[first]
            if len(others):
                owner = np.searchsorted(starts, others, "right") - 1
                np.add.at(unknown_bp, owner, 1)
            first = last
        return TokenizedBatch(
            ids=ids,
            starts=starts,
            dropped_bp=np.zeros(len(sequences), np.int64),
            unknown_bp=unknown_bp,
        )

    def pooled(self, params: Any, ids: Any, mask: Any) -> Any:
        """Frequencies of the windows: float32 ``[row, 4**k]``; zeros for a row without any."""
        from geneb_jax_kernels.kmer_counts import kmer_frequencies

        return kmer_frequencies(ids, mask, k=self.k)


def build_kmer_encoder(k: int, options: LoadOptions | None = None) -> KmerEncoder:
    """The encoder ``kmer-k``.

    Args:
        k: Window length in bases, 1 to 6 (4 to 4096 columns).
        options: What was asked of it; counts have no weights, layers, poolings or dtypes.

    Raises:
        ModelError: for any other ``k``.
        SelectionError: for an option that means nothing here.
    """
    if not SHORTEST_K <= k <= LONGEST_K:
        raise ModelError(
            f"no k-mer model with k = {k}",
            where=f"kmer-{k}",
            hint=f"choose kmer-{SHORTEST_K} to kmer-{LONGEST_K}",
        )
    _refuse_meaningless(f"kmer-{k}", options or LoadOptions())
    return KmerEncoder(k)


def _refuse_meaningless(model_id: str, options: LoadOptions) -> None:
    asked = {
        "--path": options.path is not None,
        "--pooling": options.pooling_of_its_own is not None,
        "--layer": options.layer != -1,
        "--dtype": options.dtype != "float32",
    }
    meant = [option for option, given in asked.items() if given]
    if meant:
        raise SelectionError(
            f"{model_id} counts words and has nothing that {' and '.join(meant)} could set",
            hint="run it without, if need be in a command of its own into the same --out",
        )
