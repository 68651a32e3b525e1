"""Encoder + sequences -> embeddings: plan, batch, compile, stream."""

from __future__ import annotations

from geneb_jax.embed.batch_budget import limited
from geneb_jax.embed.batch_plan import Batch, Bucket, Ladder
from geneb_jax.embed.fill import ShardMap, embed_into, embed_sequences, read_or_embed
from geneb_jax.embed.forward import BatchMemoryError, Forward
from geneb_jax.embed.model import Model, load_model
from geneb_jax.embed.opening import open_store, shard_rows
from geneb_jax.embed.placement import Placement
from geneb_jax.embed.progress import EmbedProgress, ProgressCallback
from geneb_jax.embed.report import EmbedReport, added_reports, with_row_counts
from geneb_jax.embed.row_counts import RowCounts, context_said, joined_counts, row_counts
from geneb_jax.embed.shard_work import (
    ShardRows,
    ShardWork,
    embed_shard,
    embedder_of,
    plan_shards,
)
from geneb_jax.embed.spot_check import SpotCheck, spot_check

__all__ = [
    "Batch",
    "BatchMemoryError",
    "Bucket",
    "EmbedProgress",
    "EmbedReport",
    "Forward",
    "Ladder",
    "Model",
    "Placement",
    "ProgressCallback",
    "RowCounts",
    "ShardMap",
    "ShardRows",
    "ShardWork",
    "SpotCheck",
    "added_reports",
    "context_said",
    "embed_into",
    "embed_sequences",
    "embed_shard",
    "embedder_of",
    "joined_counts",
    "limited",
    "load_model",
    "open_store",
    "plan_shards",
    "read_or_embed",
    "row_counts",
    "shard_rows",
    "spot_check",
    "with_row_counts",
]
