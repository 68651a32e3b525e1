"""The ESM family against transformers' EsmModel, from folders written by save_pretrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from transformers import EsmModel, EsmTokenizer

from geneb_jax.models import LoadOptions, TokenEncoder, load_encoder
from geneb_jax.tokenizers import built_in_vocabulary
from tests.models.esm_checkpoints import (
    FORMS,
    esm_model,
    padded,
    save,
    torch_hidden_states,
    torch_pooled,
)
from tests.tolerance import Tolerance, relative_error


@pytest.fixture(scope="module", params=FORMS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EsmModel, TokenEncoder, Callable[..., Any]]:
    """The torch model, our encoder from its folder, and our jitted pooled forward."""
    model = esm_model(**FORMS[request.param])
    folder = save(model, tmp_path_factory.mktemp("esm") / request.param)
    encoder = load_encoder(folder)
    return model, encoder, jax.jit(encoder.pooled)


def check_batches(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    sequences: list[str],
    batch: int,
    limit: float,
) -> None:
    model, encoder, pooled = pair
    for first in range(0, len(sequences), batch):
        chosen = sequences[first : first + batch]
        ids, mask = padded(encoder, chosen, multiple=128)  # one length, one compilation
        assert (
            relative_error(pooled(encoder.params, ids, mask), torch_pooled(model, ids, mask))
            <= limit
        )


@pytest.mark.parametrize("batch", [7, 64])
def test_pooled_embeddings(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    sequences: list[str],
    batch: int,
    tolerance: Tolerance,
) -> None:
    shuffled = list(np.random.default_rng(batch).permutation(sequences))
    check_batches(
        pair, shuffled[: 63 if batch == 7 else 64], batch, tolerance("pooled_embedding", "float32")
    )


def test_one_at_a_time(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    sequences: list[str],
    tolerance: Tolerance,
) -> None:
    check_batches(pair, sequences[::11], 1, tolerance("pooled_embedding", "float32"))


@pytest.mark.parametrize("batch", [7, 64])
def test_pooled_embeddings_of_real_sequences(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    real_sequences: list[str],
    batch: int,
    tolerance: Tolerance,
) -> None:
    check_batches(
        pair,
        real_sequences[: 63 if batch == 7 else 64],
        batch,
        tolerance("pooled_embedding", "float32"),
    )


def test_every_hidden_state(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    sequences: list[str],
    tolerance: Tolerance,
) -> None:
    model, encoder, _ = pair
    ids, mask = padded(encoder, sequences[::9])
    states = torch_hidden_states(model, ids, mask)
    assert len(states) == model.config.num_hidden_layers + 1

    @jax.jit
    def all_layers(params: Any) -> list[jax.Array]:
        return [
            encoder.hidden_states(params, ids, mask, layer=layer).values
            for layer in range(len(states))
        ]

    for layer, ours in enumerate(all_layers(encoder.params)):
        error = relative_error(np.asarray(ours)[mask], states[layer][mask])
        assert error <= tolerance("hidden_state", "float32"), layer


def test_a_row_does_not_depend_on_batch_padding_or_order(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
    sequences: list[str],
    tolerance: Tolerance,
) -> None:
    _, encoder, pooled = pair
    chosen = [*sequences[:3], sequences[11], *sequences[-3:]]
    one_by_one = [padded(encoder, [sequence], multiple=128) for sequence in chosen]
    alone = np.concatenate([pooled(encoder.params, *batch) for batch in one_by_one])
    limit = tolerance("batch_invariance", "float32")
    ids, mask = padded(encoder, chosen, multiple=128)
    together = pooled(encoder.params, ids, mask)
    assert relative_error(together, alone) <= limit
    order = np.random.default_rng(0).permutation(len(chosen))
    assert relative_error(pooled(encoder.params, ids[order], mask[order]), alone[order]) <= limit
    wide = padded(encoder, chosen, multiple=256)
    assert relative_error(pooled(encoder.params, *wide), alone) <= limit
    other_padding = np.where(mask, ids, 7)
    np.testing.assert_array_equal(pooled(encoder.params, other_padding, mask), together)


def test_rows_without_tokens_are_zero(
    pair: tuple[EsmModel, TokenEncoder, Callable[..., Any]],
) -> None:
    _, encoder, pooled = pair
    ids, mask = padded(encoder, ["ACGTACGT", "ACG"] * 3 + ["AC" * 380], multiple=128)
    mask[1] = False
    result = np.asarray(pooled(encoder.params, ids, mask))
    assert np.isfinite(result).all()
    assert not result[1].any()
    assert result[[0, 2, 3, 4, 5, 6]].any(axis=1).all()


@pytest.mark.parametrize("form", ["absolute", "rotary"])
def test_bfloat16(form: str, sequences: list[str], tolerance: Tolerance, tmp_path: Path) -> None:
    model = esm_model(**FORMS[form])
    encoder = load_encoder(save(model, tmp_path), LoadOptions(dtype="bfloat16"))
    # Rotary frequencies are read as they are stored, and stay float32.
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(encoder.params)}
    assert kinds == {"bfloat16"} | ({"float32"} if form == "rotary" else set())
    ids, mask = padded(encoder, sequences[::9])
    ours = jax.jit(encoder.pooled)(encoder.params, ids, mask)
    assert ours.dtype == np.float32
    assert relative_error(ours, torch_pooled(model, ids, mask)) <= tolerance(
        "pooled_embedding", "bfloat16"
    )


@pytest.mark.parametrize("eos", [None, "<eos>"])
def test_folder_with_its_tokenizer_truncates_at_its_maximum(
    sequences: list[str], tmp_path: Path, tolerance: Tolerance, eos: str | None
) -> None:
    model = esm_model(**FORMS["rotary"])
    save(model, tmp_path)
    vocabulary = tmp_path / "source.txt"
    vocabulary.write_text(built_in_vocabulary("nt-v2").text, encoding="utf-8")
    tokenizer = EsmTokenizer(str(vocabulary), eos_token=eos, model_max_length=64)
    tokenizer.save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path))
    ids, mask = padded(encoder, sequences)
    assert ids.shape[1] == 64
    theirs = tokenizer(sequences, truncation=True, padding=True, return_tensors="np")
    np.testing.assert_array_equal(ids, theirs["input_ids"])
    np.testing.assert_array_equal(mask, theirs["attention_mask"].astype(bool))
    error = relative_error(
        jax.jit(encoder.pooled)(encoder.params, ids, mask),
        torch_pooled(model, theirs["input_ids"], theirs["attention_mask"].astype(bool)),
    )
    assert error <= tolerance("pooled_embedding", "float32")


def test_positions_of_the_table_limit_the_tokens(tmp_path: Path, tolerance: Tolerance) -> None:
    model = esm_model(**FORMS["absolute"] | {"max_position_embeddings": 34})
    encoder = load_encoder(save(model, tmp_path))
    tokens = encoder.tokenize("ACGTAC" * 100)
    assert len(tokens.ids) == 32
    assert tokens.dropped_bp == 600 - 31 * 6
    ids, mask = padded(encoder, ["ACGTAC" * 100])
    assert relative_error(
        jax.jit(encoder.pooled)(encoder.params, ids, mask), torch_pooled(model, ids, mask)
    ) <= tolerance("pooled_embedding", "float32")


def test_mask_tokens_are_dropped_out(tmp_path: Path, tolerance: Tolerance) -> None:
    model = esm_model(**FORMS["absolute"])
    encoder = load_encoder(save(model, tmp_path))
    ids, mask = padded(encoder, ["ACGTAC<mask>ACGTAC<mask>", "ACGTACACGTAC"])
    assert np.count_nonzero(ids == model.config.mask_token_id) == 2
    error = relative_error(
        jax.jit(encoder.pooled)(encoder.params, ids, mask), torch_pooled(model, ids, mask)
    )
    assert error <= tolerance("pooled_embedding", "float32")


@pytest.mark.sweep
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(32, 1, 1, 16), (128, 12, 8, 512), (512, 6, 16, 2048)])
def test_sizes(
    form: str,
    size: tuple[int, int, int, int],
    real_sequences: list[str],
    tmp_path: Path,
    tolerance: Tolerance,
) -> None:
    hidden, layers, heads, inner = size
    model = esm_model(
        **FORMS[form]
        | {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": inner,
            "max_position_embeddings": 1026,
        }
    )
    encoder = load_encoder(save(model, tmp_path))
    pooled = jax.jit(encoder.pooled)
    check_batches(
        (model, encoder, pooled), real_sequences, 7, tolerance("pooled_embedding", "float32")
    )
