"""How fast a model embeds here: rates, padding, compilation, memory, share of the device's peak."""

from __future__ import annotations

import time
from dataclasses import dataclass

import jax
import numpy as np

from geneb_jax.embed.device_peaks import peak_flops
from geneb_jax.embed.fill import embed_sequences
from geneb_jax.embed.forward import Forward
from geneb_jax.embed.placement import Placement
from geneb_jax.models.encoder import Encoder, TokenEncoder

__all__ = ["Throughput", "drawn_sequences", "measure"]

#: Batches of a run: enough that filling and fetching overlap with computing as they do in earnest.
_BATCHES = 4
_FEWEST_RUNS = 3
#: Sequences of a run for a model that batches by itself, and those that tell the shapes.
_SEQUENCES = 32


@dataclass(frozen=True, slots=True)
class Throughput:
    """One measurement.

    Attributes:
        shortest_bp: Lengths of the sequences are drawn evenly from here,
        longest_bp: to here.
        dtype: Arithmetic.
        devices: Local devices that share each batch.
        sequences: Sequences of a run.
        sequences_per_second: Tokenizing included, compilation not; median of the runs.
        tokens_per_second: The same in tokens, padding not counted; None for a model that does its
            own tokenizing, as all that follows.
        batch_tokens: Most tokens of a batch.
        padding_share: Share of the positions that ran and held no token.
        compile_count: Programs compiled.
        compile_seconds: Time for that.
        program_bytes: Memory of the largest program on one device, parameters included.
        peak_bytes: Most memory that was in use on the first device since the process began.
        flops_per_second: Operations of matrix products and convolutions for the tokens a second.
        utilisation: That, of what all the devices can do; None where their peak is not known.
    """

    shortest_bp: int
    longest_bp: int
    dtype: str
    devices: int
    sequences: int
    sequences_per_second: float
    tokens_per_second: float | None = None
    batch_tokens: int | None = None
    padding_share: float | None = None
    compile_count: int | None = None
    compile_seconds: float | None = None
    program_bytes: int | None = None
    peak_bytes: int | None = None
    flops_per_second: float | None = None
    utilisation: float | None = None


def drawn_sequences(count: int, *, shortest_bp: int, longest_bp: int, seed: int = 0) -> list[str]:
    """Random bases; lengths drawn evenly between the two, both included."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(shortest_bp, longest_bp + 1, count)
    letters = np.frombuffer(b"ACGT", np.uint8)
    return [letters[generator.integers(0, 4, length)].tobytes().decode() for length in lengths]


def measure(
    encoder: Encoder,
    *,
    shortest_bp: int,
    longest_bp: int,
    batch_tokens: int | None = None,
    devices: int | None = None,
    seconds: float = 3.0,
) -> Throughput:
    """Embed random sequences, again and again.

    Args:
        encoder: The model.
        shortest_bp: Shortest sequence.
        longest_bp: Longest sequence.
        batch_tokens: Most tokens of a batch; the platform's default when None.
        devices: Local devices to use; all when None.
        seconds: Runs are repeated for at least this long after the first, which compiles.
    """
    bounds = {"shortest_bp": shortest_bp, "longest_bp": longest_bp}
    if not isinstance(encoder, TokenEncoder):
        sequences = drawn_sequences(_SEQUENCES, **bounds)
        _, median = _repeat(encoder, sequences, None, seconds)
        rate = len(sequences) / median
        return Throughput(
            **bounds,
            dtype=encoder.identity.dtype,
            devices=1,
            sequences=len(sequences),
            sequences_per_second=rate,
        )
    placement = Placement(jax.local_devices()[:devices])
    forward = Forward(encoder, batch_tokens=batch_tokens, placement=placement)
    shapes = np.unique(forward.ladder.lengths(_token_counts(encoder, bounds)))
    typical = int(np.median(shapes))
    # Each shape that occurs runs about once: fewer sequences would be mostly empty rows.
    count = max(_BATCHES, len(shapes)) * forward.ladder.bucket(typical).rows
    sequences = drawn_sequences(count, **bounds)
    tokens = encoder.tokenize_many(sequences)
    total = int(tokens.length_tokens.sum())
    runs, median = _repeat(encoder, sequences, forward, seconds)
    positions = forward.padded_tokens / runs
    flops = sum(
        forward.batch_flops(batch.bucket, tokens.ids.dtype)
        for batch in forward.ladder.batches(tokens.length_tokens)
    )
    needed = flops * total / positions / median
    first = placement.devices[0]
    peak = peak_flops(first.device_kind, encoder.identity.dtype)
    return Throughput(
        **bounds,
        dtype=encoder.identity.dtype,
        devices=len(placement.devices),
        sequences=len(sequences),
        sequences_per_second=len(sequences) / median,
        tokens_per_second=total / median,
        batch_tokens=forward.batch_tokens,
        padding_share=1 - total / positions,
        compile_count=forward.compile_count,
        compile_seconds=forward.compile_seconds,
        program_bytes=forward.program_bytes(),
        peak_bytes=(first.memory_stats() or {}).get("peak_bytes_in_use"),
        flops_per_second=needed,
        utilisation=None if peak is None else needed / peak / len(placement.devices),
    )


def _token_counts(encoder: TokenEncoder, bounds: dict[str, int]) -> np.ndarray:
    """Tokens of random sequences of these lengths, int64."""
    return encoder.tokenize_many(drawn_sequences(_SEQUENCES, **bounds)).length_tokens


def _repeat(
    encoder: Encoder, sequences: list[str], forward: Forward | None, seconds: float
) -> tuple[int, float]:
    """Runs in all, the first included, and the median time of the others in seconds."""
    embed_sequences(encoder, sequences, forward=forward)
    times: list[float] = []
    while len(times) < _FEWEST_RUNS or sum(times) < seconds:
        began = time.perf_counter()
        embed_sequences(encoder, sequences, forward=forward)
        times.append(time.perf_counter() - began)
    return len(times) + 1, float(np.median(times))
