"""Run batches: compile each shape once, keep the device busy.

While the device computes a batch, the host fills the next one and copies the previous result: at
any time at most two batches are in flight.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from geneb_jax.embed.batch_budget import batch_tokens_in_force
from geneb_jax.embed.batch_plan import SMALL_PARAMETERS, Batch, Bucket, Ladder
from geneb_jax.embed.matrix_flops import matrix_flops
from geneb_jax.embed.opening import shard_rows
from geneb_jax.embed.placement import Placement
from geneb_jax.embed.pooled_program import (
    compile_pooled,
    from_padded,
    out_of_memory,
    pooled_program,
)
from geneb_jax.errors import InterruptedRunError, ModelError
from geneb_jax.models.encoder import TokenEncoder, TokenizedBatch

__all__ = ["BatchMemoryError", "DeviceRefusalError", "Forward", "ladder_of"]

_LOG = logging.getLogger(__name__)

_IN_FLIGHT = 2
#: Programs kept; the ladder of a model up to 100,000 tokens has 113 rungs.
_MOST_PROGRAMS = 128
#: A shard holds at least so many full batches, or half of what runs would be empty rows.
_BATCHES_A_SHARD = 4
#: What XLA says when a device is gone while a program runs; anything else is the program's fault.
_DEVICE_LOST = ("UNAVAILABLE", "ABORTED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")


class BatchMemoryError(ModelError):
    """The device's memory does not hold a batch.

    Attributes:
        smaller: Tokens of a batch, the first of the halves of the present number that makes this
            batch smaller; None where it was one row.
    """

    def __init__(self, what: str, *, smaller: int | None, **parts: Any) -> None:
        self.smaller = smaller
        super().__init__(what, **parts)


class DeviceRefusalError(ModelError):
    """The program of a model does not compile for this device, or does not run on it."""

    exit_code = 1  # a unit that failed; neither bad input nor anything that a second try would mend


def ladder_of(encoder: TokenEncoder, batch_tokens: int, *, devices: int = 1) -> Ladder:
    """The shapes that a model's sequences run in.

    Everything that enters here decides last bits: a change of the numbers is another
    :data:`~geneb_jax.models.encoder.BATCH_RULES`.

    Args:
        encoder: The model.
        batch_tokens: Tokens of a batch on one device.
        devices: Devices that share a batch.
    """
    return Ladder(
        batch_tokens,
        most_rows=shard_rows(encoder) // _BATCHES_A_SHARD,
        devices=devices,
        length_multiple=encoder.length_multiple,
        exact_length=encoder.exact_length,
        longest_tokens=encoder.longest_tokens,
        any_rows=encoder.any_rows,
        small=(encoder.parameter_count or SMALL_PARAMETERS) < SMALL_PARAMETERS,
    )


class _Counts(threading.local):
    """What one thread did."""

    compile_count = 0
    padded_tokens = 0


class Forward:
    """A token encoder with its parameters on the devices and its compiled programs.

    Args:
        encoder: The model.
        batch_tokens: Most tokens of a batch on one device; see
            :func:`~geneb_jax.embed.batch_budget.batch_tokens_in_force`.
        placement: Devices; all local ones by default.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        *,
        batch_tokens: int | None = None,
        placement: Placement | None = None,
    ) -> None:
        self.encoder = encoder
        self.placement = placement or Placement()
        platform = self.placement.devices[0].platform
        self._use(batch_tokens_in_force(encoder, batch_tokens, platform))
        self.compile_count = 0
        self.compile_seconds = 0.0
        self.padded_tokens = 0
        self.own = _Counts()
        #: Threads tokenize and wait for results beside each other, and start batches in turn.
        self._turn = threading.RLock()
        self._params = self.placement.put_parameters(encoder.params)
        self._platform = platform
        self._told = False

    def _use(self, batch_tokens: int) -> None:
        """Plan with so many tokens a batch from now on."""
        self.ladder = ladder_of(self.encoder, batch_tokens, devices=self.placement.row_multiple)
        self._programs: dict[tuple[Bucket, np.dtype], Any] = {}

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch on one device."""
        return self.ladder.batch_tokens

    def go_on_with(self, batch_tokens: int) -> None:
        """Compute with so many tokens a batch from now on; rows of before may differ in last bits.

        Args:
            batch_tokens: As :attr:`BatchMemoryError.smaller` has it.
        """
        with self._turn:
            if batch_tokens < self.batch_tokens:
                self._use(batch_tokens)

    def embed(
        self, tokens: TokenizedBatch, *, done: Callable[[np.ndarray], None] = lambda members: None
    ) -> tuple[np.ndarray, tuple[Bucket, ...]]:
        """Embed tokenized sequences.

        Args:
            tokens: The token ids of all of them.
            done: Called with the positions, int64, whose results are back.

        Returns:
            float32 ``[n, width]`` in the order of ``tokens``, and the shapes that ran.

        Raises:
            BatchMemoryError: if the device memory does not hold a batch.
            DeviceRefusalError: if the model does not compile for the device, or cannot run on it.
            InterruptedRunError: if the device fails while a program runs.
        """
        rows = np.empty((len(tokens.length_tokens), self.encoder.width), np.float32)
        in_flight: deque[tuple[Batch, Any]] = deque()
        buckets: dict[Bucket, None] = {}

        def collect(batch: Batch, result: Any) -> None:
            rows[batch.members] = np.asarray(result)[: len(batch.members)]
            done(batch.members)

        batch = None
        try:
            with self._turn:
                for batch in self.ladder.batches(tokens.length_tokens):
                    ids, length_tokens = self._filled(batch, tokens)
                    program = self._program(batch.bucket, ids.dtype)
                    result = program(self._params, *self.placement.put_rows(ids, length_tokens))
                    result.copy_to_host_async()
                    in_flight.append((batch, result))
                    buckets[batch.bucket] = None
                    self.padded_tokens += ids.size
                    self.own.padded_tokens += ids.size
                    if len(in_flight) == _IN_FLIGHT:
                        collect(*in_flight.popleft())
            while in_flight:
                collect(*in_flight.popleft())
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            raise self._explained(batch, error) from error
        return rows, tuple(buckets)

    def _filled(self, batch: Batch, tokens: TokenizedBatch) -> tuple[np.ndarray, np.ndarray]:
        """Padded ids ``[row, token]`` and int32 lengths ``[row]`` of a batch; empty rows last."""
        fits = self.encoder.pad_id <= np.iinfo(tokens.ids.dtype).max
        shape = (batch.bucket.rows, batch.bucket.length_tokens)
        ids = np.full(shape, self.encoder.pad_id, tokens.ids.dtype if fits else np.int32)
        first, last = tokens.starts[batch.members], tokens.starts[batch.members + 1]
        lengths = np.zeros(batch.bucket.rows, np.int32)
        lengths[: len(first)] = last - first
        # One slice a row: a gather over [row, token] takes longer than all slices together.
        for row, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            ids[row, : end - begin] = tokens.ids[begin:end]
        return ids, lengths

    def _program(self, bucket: Bucket, ids_dtype: np.dtype) -> Any:
        """The compiled program of a shape; the newest few are kept."""
        key = (bucket, ids_dtype)
        program = self._programs.pop(key, None)
        if program is None:
            rows = self.placement.rows
            shape = (bucket.rows, bucket.length_tokens)
            ids = jax.ShapeDtypeStruct(shape, ids_dtype, sharding=rows)
            lengths = jax.ShapeDtypeStruct(shape[:1], np.int32, sharding=rows)
            began = time.perf_counter()
            program = self._compiled(bucket, ids, lengths)
            self.compile_seconds += time.perf_counter() - began
            self.compile_count += 1
            self.own.compile_count += 1
        self._programs[key] = program
        while len(self._programs) > _MOST_PROGRAMS:
            del self._programs[next(iter(self._programs))]
        return program

    def _compiled(self, bucket: Bucket, ids: Any, lengths: Any) -> Any:
        """Compile a shape.

        What fails here is the program's fault and never a lost device, whatever XLA calls it:
        the same command would only compile the same program again.
        """
        model_id = self.encoder.identity.model_id
        make = partial(pooled_program, self.encoder, self.placement.mesh)
        try:
            made = compile_pooled(make, (self._params, ids, lengths), platform=self._platform)
        except (jax.errors.JaxRuntimeError, NotImplementedError, MemoryError) as error:
            if out_of_memory(error):
                raise self._too_large(bucket) from error
            raise DeviceRefusalError(
                "the model cannot be compiled for this device",
                where=model_id,
                cause=_first_line(error),
            ) from error
        if made.refusal is not None and not self._told:
            self._told = True
            _LOG.warning(
                "%s: the compiler of this device refuses the program as it is written (%s); "
                "going on %s",
                model_id,
                _first_line(made.refusal),
                made.without,
            )
        return made.program

    def program_bytes(self) -> int | None:
        """Memory that the largest program needs on one device, parameters and batch included.

        None where the platform does not say.
        """
        needs = [program.memory_analysis() for program in self._programs.values()]
        if not needs or None in needs:
            return None
        return max(
            need.argument_size_in_bytes + need.output_size_in_bytes + need.temp_size_in_bytes
            for need in needs
        )

    def batch_flops(self, bucket: Bucket, ids_dtype: np.dtype) -> int:
        """Floating-point operations of the matrix products and convolutions of one batch."""
        ids = jax.ShapeDtypeStruct((bucket.rows, bucket.length_tokens), ids_dtype)
        lengths = jax.ShapeDtypeStruct((bucket.rows,), np.int32)
        return matrix_flops(partial(from_padded, self.encoder), self._params, ids, lengths)

    def _explained(self, batch: Batch | None, error: Exception) -> ModelError | InterruptedRunError:
        """What a failure of a running program means."""
        if out_of_memory(error):
            return self._too_large(batch.bucket if batch is not None else Bucket(1, 1))
        if str(error).startswith(_DEVICE_LOST):
            return InterruptedRunError(
                "the device failed while embedding",
                where=self.encoder.identity.model_id,
                cause=_first_line(error),
                hint="what was committed is kept; run the same command again",
            )
        return DeviceRefusalError(
            "the model cannot run on this device",
            where=self.encoder.identity.model_id,
            cause=_first_line(error),
        )

    def _too_large(self, bucket: Bucket) -> BatchMemoryError:
        """A batch of this shape does not fit."""
        smaller = self._smaller(bucket)
        hint = "use a device with more memory, or a smaller dtype (--dtype bfloat16)"
        if smaller:
            hint = (
                f"--batch-tokens {smaller} needs less (its embeddings are kept apart: their last "
                "bits differ); or use a smaller dtype (--dtype bfloat16)"
            )
        return BatchMemoryError(
            f"out of device memory with {self.batch_tokens} tokens a batch",
            where=self.encoder.identity.model_id,
            cause=f"a batch of {bucket.rows} rows of {bucket.length_tokens} tokens",
            hint=hint,
            smaller=smaller,
        )

    def _smaller(self, bucket: Bucket) -> int | None:
        """The next half of a half with fewer rows in this shape; None where it has one row."""
        if bucket.rows <= self.placement.row_multiple:
            return None
        ladder = self.ladder
        while ladder.bucket(bucket.length_tokens, bucket.rows).rows >= bucket.rows:
            ladder = replace(ladder, batch_tokens=ladder.batch_tokens // 2)
        return ladder.batch_tokens


def _first_line(error: Exception) -> str:
    """The first line of what XLA says; the rest are stacks and programs."""
    return (str(error) or type(error).__name__).splitlines()[0][:300]
