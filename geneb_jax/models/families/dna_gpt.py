"""DNA-GPT: GPT-2 without biases, saved as a bare ``.pth`` by its own training code.

No config.json is published, so a checkpoint is named by its model id: ``-m dna_gpt0.1b_h --path
FOLDER_OR_FILE``. The file nests its tensors under ``model``. Its heads and the embedding of numbers
take no part in reading DNA.

Reference: outputs recorded from an independent implementation (tests/models); the original is
TencentAILabHealthcare/DNAGPT.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from geneb_jax.errors import CheckpointError
from geneb_jax.models.checkpoints.config_json import ConfigJson
from geneb_jax.models.checkpoints.key_map import Drop, KeyMap
from geneb_jax.models.families.gpt2 import Gpt2Config, gpt2_key_map
from geneb_jax.models.family import Family
from geneb_jax.models.layers.decoder import Decoder
from geneb_jax.tokenizers import FolderTokenizer

__all__ = ["FAMILY"]


_UNUSED = {
    "number_embedding": "embedding of numbers, not used for DNA",
    "num_regression": "output head",
}


def _key_map(config: Gpt2Config) -> KeyMap:
    return gpt2_key_map(
        config,
        transposed=True,
        drops=tuple(
            Drop(f"{name}.{place}.weight", reason)
            for name, reason in _UNUSED.items()
            for place in (0, 2, 3)  # between them stands an activation
        ),
    )


def _no_config(config: ConfigJson) -> NoReturn:
    raise CheckpointError("DNA-GPT has no config.json", where=config.where)


def _folder_tokenizer(folder: Path, config_json: ConfigJson, config: Gpt2Config) -> FolderTokenizer:
    _no_config(config_json)


FAMILY = Family(
    name="dna_gpt",
    version=1,
    config=Gpt2Config,
    module=lambda config: Decoder(config.decoder),
    key_map=_key_map,
    claims=lambda config: False,
    read_json=_no_config,
    folder_tokenizer=_folder_tokenizer,
)
