"""The folder is the model: what AutoModel gives, or a refusal with the reason; never other numbers.

Folders are drawn by seed over all that people's folders vary in (tests/models/drawn_folders.py).
"""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
import transformers
from transformers import PreTrainedModel

from geneb_jax.errors import GenebError
from geneb_jax.models import TokenEncoder, load_encoder
from tests.models.drawn_folders import SEQUENCES, Axes, Folder, draw_axes, write_folder
from tests.tokenizers.drawn_tokenizers import draw_tokenizer, drawn_texts
from tests.tolerance import Tolerance, relative_error

_TOKENS = 64  # one shape for all, so that folders of one size share a compiled program
_ROOT = 20261129


def reference_model(folder: Folder) -> PreTrainedModel:
    """The base model as transformers loads it, in float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, on Conv1D and on transformers' new names
        model, report = transformers.AutoModel.from_pretrained(
            folder.reference, dtype=torch.float32, output_loading_info=True
        )
    missing = [name for name in report["missing_keys"] if "pooler" not in name]
    assert not missing, missing
    return model.eval()


def theirs(model: PreTrainedModel, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Last hidden states of the tokens, then their means, flat."""
    with torch.no_grad():
        output = model(
            input_ids=torch.from_numpy(ids).long(), attention_mask=torch.from_numpy(mask).long()
        )
    hidden = output.last_hidden_state.numpy()
    means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
    return np.concatenate([hidden[mask].ravel(), means.ravel()])


def ours(encoder: TokenEncoder, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    @jax.jit
    def compute(params: object, ids: object, mask: object) -> tuple[jax.Array, jax.Array]:
        values = encoder.hidden_states(params, ids, mask).values  # type: ignore[attr-defined]
        return values, encoder.pooled(params, ids, mask)

    hidden, pooled = compute(encoder.params, ids, mask)
    return np.concatenate([np.asarray(hidden)[mask].ravel(), np.asarray(pooled).ravel()])


def batch(encoder: TokenEncoder, folder: Folder) -> tuple[np.ndarray, np.ndarray]:
    """Token ids as AutoTokenizer gives them, which are the encoder's own."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder.tokenizer)
    ids = np.full((len(SEQUENCES), _TOKENS), encoder.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, sequence in enumerate(SEQUENCES):
        tokens = tokenizer(sequence, truncation=True)["input_ids"]
        np.testing.assert_array_equal(encoder.tokenize(sequence).ids, tokens)
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = True
    return ids, mask


def check(axes: Axes, place: Path, limit: float) -> str:
    """Load one folder: ``equal``, or what it was refused for."""
    folder = write_folder(axes, place)
    try:
        encoder = load_encoder(folder.path)
        params = encoder.params
    except GenebError as error:
        named = [reason for reason in axes.refused_for if reason in error.message]
        assert named, f"{axes}: {error.message}"
        return named[0]
    assert params and not axes.refused_for, f"{axes}: was not refused"
    assert isinstance(encoder, TokenEncoder)
    ids, mask = batch(encoder, folder)
    error_ = relative_error(ours(encoder, ids, mask), theirs(reference_model(folder), ids, mask))
    assert error_ <= limit, f"{axes}: {error_}"
    return "equal"


#: A family for what the drawn tokenizer's config.json says; RoBERTa has none here.
_FAMILIES = {"bert": "bert", "esm": "esm", "llama": "llama", "gpt2": "gpt2", "mistral": "mistral"}
_ROWS = 400
_POSITIONS = 80  # max_position_embeddings of all drawn models


def check_with_drawn_tokenizer(seed: int, place: Path, limit: float) -> str:
    """A tidy model with a drawn tokenizer, from text to embedding: ``equal`` or ``refused``."""
    generator = np.random.default_rng([_ROOT, seed])
    place.mkdir()
    drawn_tokenizer = draw_tokenizer(generator, place / "tokenizer")
    family = _FAMILIES.get(drawn_tokenizer.model_type)
    if family is None:
        return "no family"
    axes = dataclasses.replace(draw_axes(generator), family=family, head="Model", wrapper="")
    axes = dataclasses.replace(axes, adapter="none", settings="tidy", rows=_ROWS)
    folder = write_folder(axes, place / "drawn")
    for file in [*folder.path.glob("*token*"), *folder.path.glob("vocab.*")]:
        file.unlink()
    shutil.copytree(place / "tokenizer", folder.path, dirs_exist_ok=True)
    try:
        encoder = load_encoder(folder.path)
    except GenebError:
        return "refused"
    assert isinstance(encoder, TokenEncoder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path)
    longest = min(_POSITIONS, tokenizer.model_max_length)
    texts = drawn_texts(generator)
    ids = np.full((len(texts), _POSITIONS), encoder.pad_id, np.int32)
    mask = np.zeros(ids.shape, bool)
    for row, text in enumerate(texts):
        tokens = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
        found = encoder.tokenize(text).ids  # type: ignore[attr-defined]
        np.testing.assert_array_equal(found, tokens, err_msg=f"{seed}, {drawn_tokenizer}, {text}")
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = True
    some = mask.any(1)
    ids, mask = ids[some], mask[some]
    error = relative_error(ours(encoder, ids, mask), theirs(reference_model(folder), ids, mask))
    assert error <= limit, (seed, drawn_tokenizer)
    return "equal"


@pytest.mark.filterwarnings("ignore")
def test_drawn_tokenizers_in_drawn_folders(tmp_path: Path, tolerance: Tolerance) -> None:
    limit = tolerance("pooled_embedding", "float32")
    results = Counter(
        check_with_drawn_tokenizer(seed, tmp_path / str(seed), limit) for seed in range(20)
    )
    assert results["equal"] >= 10, results


def drawn(count: int, seed: int) -> list[Axes]:
    generator = np.random.default_rng([_ROOT, seed])
    return [draw_axes(generator) for _ in range(count)]


def name_of(axes: Axes) -> str:
    return "-".join((axes.family, axes.head, axes.layout, axes.dtype, axes.adapter, axes.settings))


@pytest.mark.parametrize("axes", drawn(20, 0), ids=name_of)
def test_a_drawn_folder_is_what_automodel_gives(
    axes: Axes, tmp_path: Path, tolerance: Tolerance
) -> None:
    check(axes, tmp_path / "drawn", tolerance("pooled_embedding", "float32"))


@pytest.mark.sweep
@pytest.mark.timeout(3600)
def test_four_hundred_drawn_folders(
    tmp_path: Path, tolerance: Tolerance, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = tolerance("pooled_embedding", "float32")
    results = Counter(
        check(axes, tmp_path / str(at), limit) for at, axes in enumerate(drawn(400, 1))
    )
    with capsys.disabled():
        print("\ndrawn folders:", dict(results.most_common()))
    assert results["equal"] > 200
    assert len(results) > 5
