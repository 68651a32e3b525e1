"""Run batches: compile each shape once, keep the device busy, halve the batch when memory ends.

While the device computes a batch, the host fills the next one and copies the previous result: at
any time at most two batches are in flight.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from geneb_jax.embed.batch_plan import Batch, BatchPlan, Bucket, plan_batches
from geneb_jax.embed.bucket_lengths import MOST_BUCKETS
from geneb_jax.embed.matrix_flops import matrix_flops
from geneb_jax.embed.placement import Placement
from geneb_jax.errors import InterruptedRunError, ModelError
from geneb_jax.models.encoder import TokenEncoder, TokenizedBatch

__all__ = ["DEFAULT_BATCH_TOKENS", "Forward"]

_LOG = logging.getLogger(__name__)
#: Tokens of a batch by platform, where neither the caller nor the encoder says otherwise: enough
#: to fill the arithmetic units, few enough that attention over 2048 tokens stays below a gigabyte.
DEFAULT_BATCH_TOKENS = {"cpu": 4096, "gpu": 32768, "tpu": 32768}
_IN_FLIGHT = 2
_MEMORY_TRIES = 3
#: What XLA says when a device is gone; anything else is the program's fault, not the device's.
_DEVICE_LOST = ("UNAVAILABLE", "ABORTED", "DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN")


class Forward:
    """A token encoder with its parameters on the devices and its compiled programs.

    Args:
        encoder: The model.
        batch_tokens: Most tokens of a batch; the encoder's own figure, or the platform's, by
            default.
        placement: Devices; all local ones by default.
        rounded: Plan for many small calls; see :func:`plan_batches`.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        *,
        batch_tokens: int | None = None,
        placement: Placement | None = None,
        rounded: bool = False,
    ) -> None:
        self.encoder = encoder
        self.placement = placement or Placement()
        if batch_tokens is None:
            platform = self.placement.devices[0].platform
            batch_tokens = getattr(encoder, "batch_tokens", None) or DEFAULT_BATCH_TOKENS.get(
                platform, DEFAULT_BATCH_TOKENS["cpu"]
            )
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens must be positive, got {batch_tokens}")
        self.batch_tokens = batch_tokens
        self.rounded = rounded
        self.compile_count = 0
        self.compile_seconds = 0.0
        self.padded_tokens = 0
        self.memory_failures = 0
        self._params = self.placement.put_parameters(encoder.params)
        self._programs: dict[tuple[Bucket, np.dtype], Any] = {}
        self._pooled = jax.jit(self._from_padded)

    def _from_padded(self, params: Any, ids: jax.Array, length_tokens: jax.Array) -> jax.Array:
        """Widen the ids and make the mask on the device: a quarter of the bytes go there."""
        position = jnp.arange(ids.shape[1], dtype=jnp.int32)
        mask = position[None, :] < length_tokens[:, None]
        pooled: jax.Array = self.encoder.pooled(params, ids.astype(jnp.int32), mask)
        return pooled.astype(jnp.float32)

    def plan(
        self, length_tokens: np.ndarray, *, rows_per_shard: int, digests: np.ndarray | None = None
    ) -> BatchPlan:
        """Plan batches for sequences of these lengths; see :func:`plan_batches`."""
        return plan_batches(
            length_tokens,
            batch_tokens=self.batch_tokens,
            rows_per_shard=rows_per_shard,
            digests=digests,
            length_multiple=self.encoder.length_multiple,
            row_multiple=self.placement.row_multiple,
            exact_length=self.encoder.exact_length,
            rounded=self.rounded,
            longest_tokens=self.encoder.longest_tokens,
            known_buckets=sorted(
                {bucket.length_tokens: bucket for bucket, _ in self._programs}.values(),
                key=lambda bucket: bucket.length_tokens,
            ),
        )

    def embed(
        self,
        plan: BatchPlan,
        members: np.ndarray,
        tokens: TokenizedBatch,
        *,
        done: Callable[[int, int], None] = lambda sequences, tokens: None,
    ) -> tuple[np.ndarray, BatchPlan]:
        """Embed sequences, given by position in ``tokens`` and in the order of ``plan``.

        Args:
            plan: Shapes of the batches.
            members: Positions, int64 ``[m]``.
            tokens: The token ids of all sequences.
            done: Called with (sequences, tokens) as results come back.

        Returns:
            float32 ``[m, width]``, and the plan for what comes next: the same, or one of smaller
            batches where memory ended.

        Raises:
            ModelError: if the device memory does not hold even the smallest batch.
            InterruptedRunError: if the device fails.
        """
        rows = np.empty((len(members), self.encoder.width), np.float32)
        place = np.full(len(plan.length_tokens), -1, np.int64)
        place[members] = np.arange(len(members))
        waiting = np.ones(len(members), bool)

        def collect(batch: Batch, result: Any) -> None:
            at = place[batch.members]
            rows[at] = np.asarray(result)[: len(at)]
            waiting[at] = False
            done(
                len(at),
                int((tokens.starts[batch.members + 1] - tokens.starts[batch.members]).sum()),
            )

        while waiting.any():
            left = members[waiting]
            try:
                self._run(plan, left, tokens, collect)
            except (jax.errors.JaxRuntimeError, MemoryError) as error:
                plan = self._smaller(plan, left, error)
        return rows, plan

    def _run(
        self,
        plan: BatchPlan,
        members: np.ndarray,
        tokens: TokenizedBatch,
        collect: Callable[[Batch, Any], None],
    ) -> None:
        in_flight: deque[tuple[Batch, Any]] = deque()
        for batch in plan.batches(members):
            ids, length_tokens = self._filled(batch, tokens)
            program = self._program(batch.bucket, ids.dtype)
            result = program(self._params, *self.placement.put_rows(ids, length_tokens))
            result.copy_to_host_async()
            in_flight.append((batch, result))
            self.padded_tokens += ids.size
            if len(in_flight) == _IN_FLIGHT:
                collect(*in_flight.popleft())
        while in_flight:
            collect(*in_flight.popleft())

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
            program = self._pooled.lower(self._params, ids, lengths).compile()
            self.compile_seconds += time.perf_counter() - began
            self.compile_count += 1
        self._programs[key] = program
        while len(self._programs) > MOST_BUCKETS:
            del self._programs[next(iter(self._programs))]
        return program

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
        return matrix_flops(self._from_padded, self._params, ids, lengths)

    def _smaller(self, plan: BatchPlan, left: np.ndarray, error: Exception) -> BatchPlan:
        """A plan with half the tokens a batch, kept for later batches; or the error, explained."""
        text = str(error)
        out_of_memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text
        model_id = self.encoder.identity.model_id
        if not out_of_memory:
            if text.startswith(_DEVICE_LOST):
                raise InterruptedRunError(
                    "the device failed while embedding",
                    where=model_id,
                    cause=text.splitlines()[0][:300],
                    hint="what was committed is kept; run the same command again",
                ) from error
            raise ModelError(
                "the model cannot run on this device",
                where=model_id,
                cause=text.splitlines()[0][:300],
            ) from error
        self.memory_failures += 1
        longest = int(plan.length_tokens[left].max())
        smallest = longest * self.placement.row_multiple
        if self.memory_failures > _MEMORY_TRIES or self.batch_tokens <= smallest:
            raise ModelError(
                f"out of device memory with {self.batch_tokens} tokens a batch",
                where=model_id,
                cause=f"the longest sequence left has {longest} tokens",
                hint="use a device with more memory, a smaller dtype (--dtype bfloat16), or fewer "
                "tokens a batch (--batch-tokens)",
            ) from error
        self.batch_tokens = max(smallest, self.batch_tokens // 2)
        _LOG.warning(
            "%s: out of device memory; going on with %d tokens a batch", model_id, self.batch_tokens
        )
        self._programs.clear()
        rows = {b.length_tokens: b.rows for b in plan.buckets}
        multiple = self.placement.row_multiple
        buckets = tuple(
            Bucket(end, max(1, min(count, self.batch_tokens // end) // multiple) * multiple)
            for end, count in rows.items()
        )
        return BatchPlan(plan.order, buckets, plan.length_tokens)
