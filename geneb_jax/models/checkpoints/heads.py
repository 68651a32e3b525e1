"""What models carry besides the network that embeds: heads and buffers, left out by one list.

``AutoModel`` leaves out every tensor that its class does not have. Here a tensor is left out only
if its name is one that transformers, PEFT or TRL give to heads; any other surplus tensor may mean
that the network is not the one that config.json describes, and is refused.
"""

from __future__ import annotations

__all__ = ["is_head"]

#: Modules beside the base model, by the first part of their name behind all prefixes.
_HEADS = frozenset(
    {
        "classification_head",
        "classifier",
        "cls",  # predictions and seq_relationship of BERT
        "contact_head",  # ESM
        "discriminator_predictions",
        "generator_lm_head",
        "generator_predictions",
        "head",
        "lm_head",
        "lm_loss",
        "logits_proj",
        "mc_head",
        "mlm_head",
        "multiple_choice_head",
        "pooler",  # a map of row 0 behind the last hidden state, which no pooling here uses
        "pre_classifier",
        "predictions",
        "qa_outputs",
        "regression_head",
        "score",
        "sequence_summary",
        "start_logits",
        "end_logits",
        "summary",
        "v_head",  # TRL's value head
        "value_head",
        "vocab_projector",
        "vocab_transform",
    }
)
#: Buffers that older versions of transformers stored: indices that every program counts itself.
_BUFFERS = frozenset({"embeddings.position_ids", "embeddings.token_type_ids"})


def is_head(name: str) -> bool:
    """Whether a tensor, by its name without prefixes, is a head's or an index buffer."""
    return name in _BUFFERS or name.partition(".")[0] in _HEADS
