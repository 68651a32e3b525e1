"""Torch networks of published shapes, with the names of the published checkpoints.

The Nucleotide Transformer v2 is transformers' ESM with the gated inner layer of the published
model; DNABERT-2 is multimolecule's. Both attend through torch's fused attention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

__all__ = ["PEERS", "embed_loop", "mosaic_names", "save_folder"]


class _GatedInner(torch.nn.Module):
    """The published model's inner layer: the first half, activated, times the second."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(width, 2 * inner, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """``[..., width]`` to ``[..., inner]``."""
        first, second = self.dense(hidden).chunk(2, dim=-1)
        return torch.nn.functional.silu(first) * second


def nt_v2_50m() -> torch.nn.Module:
    """Nucleotide Transformer v2 50M at its true size."""
    from transformers import EsmConfig, EsmModel

    config = EsmConfig(
        vocab_size=4107,
        hidden_size=512,
        num_hidden_layers=12,
        num_attention_heads=16,
        intermediate_size=2048,
        max_position_embeddings=2050,
        position_embedding_type="rotary",
        layer_norm_eps=1e-12,
        pad_token_id=1,
        mask_token_id=2,
        token_dropout=False,
        emb_layer_norm_before=False,
    )
    model = EsmModel(config, add_pooling_layer=False)
    for layer in model.encoder.layer:
        layer.intermediate = _GatedInner(512, 2048)
        layer.output.dense = torch.nn.Linear(2048, 512, bias=False)
    return model


def dnabert2() -> torch.nn.Module:
    """DNABERT-2 at its true size."""
    import multimolecule

    config = multimolecule.DnaBert2Config(
        vocab_size=4096,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        layer_norm_eps=1e-12,
    )
    return multimolecule.DnaBert2Model(config, add_pooling_layer=False)


def _same_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors.items() if "contact_head" not in name}


def mosaic_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of multimolecule as published: query, key and value, and both halves, as one."""
    width = next(value.shape[0] for name, value in tensors.items() if ".self.query." in name)
    ours = {"embeddings.token_type_embeddings.weight": torch.zeros(2, width)}
    for name, value in tensors.items():
        if name.startswith("pooler.") or name.endswith("slopes"):
            continue
        layer = name.split(".attention.")[0]
        if ".self.query." in name:
            kind = name.rsplit(".", 1)[1]
            parts = [tensors[name.replace("query", part)] for part in ("query", "key", "value")]
            ours[f"{layer}.attention.self.Wqkv.{kind}"] = torch.cat(parts)
        elif ".self.key." not in name and ".self.value." not in name:
            for theirs, published in (
                ("layer_norm", "LayerNorm"),
                (".mlp.LayerNorm", ".mlp.layernorm"),
                ("up_proj", "gated_layers"),
                ("down_proj", "wo"),
            ):
                name = name.replace(theirs, published)
            ours[name] = value
    return ours


#: Model of the registry to (its torch network, its tensors as published).
PEERS: dict[str, tuple[Callable[[], torch.nn.Module], Callable[..., dict[str, torch.Tensor]]]] = {
    "nucleotide-transformer-v2-50m-multi-species": (nt_v2_50m, _same_names),
    "dnabert2-no-flashattention": (dnabert2, mosaic_names),
}


def save_folder(model_id: str, folder: Path) -> torch.nn.Module:
    """A network of random weights, written as the published checkpoint would be."""
    build, names = PEERS[model_id]
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    tensors = {name: value.contiguous() for name, value in names(model.state_dict()).items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return model


def embed_loop(
    model: Any,
    rows: Sequence[np.ndarray],
    *,
    pad_id: int,
    pad_to: int | None = None,
    batch_rows: int = 8,
) -> np.ndarray:
    """Mean-pooled embeddings float32 ``[row, width]``, as GENEB's extractors get them.

    Args:
        model: Torch network.
        rows: Token ids of each record, in the order given.
        pad_id: Fills a batch.
        pad_to: Tokens that every record is padded to; the longest of its batch by default.
        batch_rows: Records of a batch.
    """
    parts = []
    with torch.inference_mode():
        for first in range(0, len(rows), batch_rows):
            batch = rows[first : first + batch_rows]
            length = pad_to or max(map(len, batch))
            ids = torch.full((len(batch), length), pad_id)
            mask = torch.zeros(ids.shape, dtype=torch.long)
            for row, found in enumerate(batch):
                ids[row, : len(found)] = torch.from_numpy(found.astype(np.int64))
                mask[row, : len(found)] = 1
            hidden = model(ids, attention_mask=mask).last_hidden_state
            weights = mask[:, :, None].to(hidden.dtype)
            parts.append((hidden * weights).sum(1) / weights.sum(1))
    return torch.cat(parts).numpy()
