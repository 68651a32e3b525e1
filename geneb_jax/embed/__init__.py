"""Encoder + sequences -> embeddings: plan, batch, compile, stream."""

from __future__ import annotations

from geneb_jax.embed.batch_plan import Batch, BatchPlan, Bucket, plan_batches
from geneb_jax.embed.fill import embed_into, embed_sequences, read_or_embed
from geneb_jax.embed.forward import Forward
from geneb_jax.embed.job import EmbedReport
from geneb_jax.embed.model import Model, load_model
from geneb_jax.embed.opening import open_store, shard_rows
from geneb_jax.embed.placement import Placement
from geneb_jax.embed.progress import EmbedProgress, ProgressCallback
from geneb_jax.embed.spot_check import SpotCheck, spot_check

__all__ = [
    "Batch",
    "BatchPlan",
    "Bucket",
    "EmbedProgress",
    "EmbedReport",
    "Forward",
    "Model",
    "Placement",
    "ProgressCallback",
    "SpotCheck",
    "embed_into",
    "embed_sequences",
    "load_model",
    "open_store",
    "plan_batches",
    "read_or_embed",
    "shard_rows",
    "spot_check",
]
