"""What every native family must hold, on tiny networks with random weights.

An embedding depends on its sequence alone: not on the batch, its padding or its order. Texts of
any kind give finite rows of the declared width. A new family adds one line to ``TINY``.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
import pytest

from geneb_jax.models import LoadOptions, blueprint, load_encoder, native_families, registry
from geneb_jax.models.native_encoder import NativeEncoder
from tests.models.narrow_checkpoints import WINDOW
from tests.tolerance import Tolerance, relative_error

_SIZES = {"hidden_size": 32, "layer_count": 2, "head_count": 4, "inner_size": 48}
_WINDOW = WINDOW | {"layer_count": 2}
_STATE = {"hidden_size": 16, "layer_count": 2, "inner_size": 32, "time_step_rank": 2}

#: Family to (published model, changes of its config, model whose tokenizer ships if its own does
#: not). Tokenizer, pooling and every switch stay those of the published model.
TINY: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "bert": ("gena-lm-bert-base", _SIZES, None),
    "caduceus": ("caduceus-ps_seqlen-131k_d_model-256_n_layer-16", _STATE, None),
    "dna_gpt": ("dna_gpt0.1b_h", _SIZES, None),
    "eccdna_mamba": (
        "eccdnamamba_weights",
        _SIZES | {"head_width": 12, "state_width": 8, "mlp_width": 48},
        "Omni-DNA-1B",
    ),
    "enformer": ("enformer-official-rough", _WINDOW, None),
    "esm": ("nucleotide-transformer-2.5b-multi-species", _SIZES, None),
    "gpt2": ("gpt2_gene_v1", _SIZES | {"vocab_size": 4096}, "Omni-DNA-1B"),
    "hyenadna": ("hyenadna-medium-160k-seqlen-hf", {"layer_count": 2}, None),
    "janusdna": (
        "JanusDNA_72_w",
        {
            "hidden_size": 32,
            "layer_count": 2,
            "head_width": 8,
            "inner_size": 48,
            "mlp_size": 24,
            "expert_count": 4,
            "middle_attention_layer": 0,
            "padded_tokens": 40,
        },
        None,
    ),
    "llama": ("BioFM-265M", _SIZES | {"kv_head_count": 2, "head_width": 16}, None),
    "lucaone": ("LucaOne-default-step36M", _SIZES, None),
    "mosaic_bert": ("DNABERT-S", _SIZES, None),
    "mutbert": ("MutBERT", _SIZES, None),
    "olmo": (
        "Omni-DNA-300M",
        {"hidden_size": 32, "layer_count": 2, "head_count": 4, "fused_mlp_width": 96},
        None,
    ),
    "roformer": ("deepgene", _SIZES, None),
    "space": ("space", _WINDOW | {"input_length": 2048}, None),
    "stripedhyena": ("evo-1-131k-base", _SIZES | {"layer_count": 4, "attention_layers": [1]}, None),
}
#: Counts, not a network: tests/kernels and tests/embed hold it.
NOT_NETWORKS = {"kmer"}
LIMIT = 40  # tokens

_DRAWN = "".join(np.random.default_rng(1).choice(list("ACGT"), 4000))
ODD_TEXTS = (
    "",
    "A",
    "N",
    "N" * 61,
    _DRAWN[:37].lower(),
    string.ascii_uppercase + "-*. ",
    _DRAWN[:50] + "NNNN" + _DRAWN[50:90] + "RYK",
    _DRAWN,  # over-long for every tokenizer here
)


class Tiny:
    """A tiny encoder, and its compiled programs by batch shape."""

    def __init__(self, encoder: NativeEncoder, *, optimise: bool) -> None:
        self.encoder = encoder
        self._programs: dict[tuple[int, int], Any] = {}
        # Without LLVM's passes compiling takes a third; the arithmetic stays XLA's. The sweep
        # compiles as users do.
        self._options = {} if optimise else {"xla_backend_optimization_level": 0}

    @cached_property
    def length_tokens(self) -> int:
        """Longest input, rounded up to what the family asks for."""
        multiple = self.encoder.length_multiple
        return -(-LIMIT // multiple) * multiple

    def embed(self, texts: Sequence[str], *, rows: int, length_tokens: int) -> np.ndarray:
        """Embed in batches of exactly ``rows`` times ``length_tokens``."""
        parts = []
        for first in range(0, len(texts), rows):
            tokens = [self.encoder.tokenize(text).ids for text in texts[first : first + rows]]
            ids = np.full((rows, length_tokens), self.encoder.pad_id, np.int32)
            mask = np.zeros(ids.shape, bool)
            for row, found in enumerate(tokens):
                ids[row, : len(found)] = found
                mask[row, : len(found)] = True
            if ids.shape not in self._programs:
                lowered = jax.jit(self.encoder.pooled).lower(self.encoder.params, ids, mask)
                self._programs[ids.shape] = lowered.compile(compiler_options=self._options)
            result = self._programs[ids.shape](self.encoder.params, ids, mask)
            assert result.dtype == np.float32
            parts.append(np.asarray(result)[: len(tokens)])
        return np.concatenate(parts)


def texts(count: int) -> list[str]:
    """Sequences of 1 to 150 bp, some with N."""
    generator = np.random.default_rng(count)
    starts, lengths = generator.integers(0, 3000, count), generator.integers(1, 150, count)
    drawn = [_DRAWN[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    return [text if index % 3 else text[:20] + "NN" + text[20:] for index, text in enumerate(drawn)]


def close(ours: np.ndarray, other: np.ndarray, limit: float) -> None:
    assert relative_error(other, ours) <= limit


def tiny_encoder(family: str, *, limit: int = LIMIT, **more_changes: Any) -> NativeEncoder:
    """The family's tiny model, through the door that every model comes through."""
    model_id, changes, tokenizer_of = TINY[family]
    spec = registry()[model_id]
    spec = dataclasses.replace(
        spec,
        config=dict(spec.config) | changes | more_changes,
        context=dataclasses.replace(spec.context, limit=limit),
        tokenizer=registry()[tokenizer_of or model_id].tokenizer,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blueprint, "find_spec", lambda name: spec)
        encoder = load_encoder(model_id, LoadOptions(weights="random", seed=3, offline=True))
    assert isinstance(encoder, NativeEncoder)
    assert encoder.identity.code.startswith(f"{family}/")
    return encoder


@pytest.fixture(scope="module", params=sorted(TINY))
def tiny(request: pytest.FixtureRequest) -> Tiny:
    encoder = tiny_encoder(request.param)
    optimise = "not sweep" not in request.config.option.markexpr
    return Tiny(encoder, optimise=optimise)


def test_every_native_family_is_here() -> None:
    assert set(TINY) | NOT_NETWORKS == native_families(), "a family needs its line in TINY"


@pytest.mark.parametrize("rows", [7, pytest.param(64, marks=pytest.mark.sweep)])
@pytest.mark.fault("F29")
def test_a_row_depends_on_its_sequence_alone(tiny: Tiny, rows: int, tolerance: Tolerance) -> None:
    if tiny.encoder.exact_length:
        pytest.skip("this family takes batches of equal lengths only")
    length, limit = tiny.length_tokens, tolerance("batch_invariance", "float32")
    chosen = texts(rows)
    together = tiny.embed(chosen, rows=rows, length_tokens=length)
    assert np.unique(together, axis=0).shape[0] > rows // 2, "rows must differ"
    close(together, tiny.embed(chosen, rows=1, length_tokens=length), limit)
    close(together, tiny.embed(chosen, rows=rows, length_tokens=2 * length), limit)
    order = np.random.default_rng(0).permutation(rows)
    shuffled = [chosen[index] for index in order]
    close(together[order], tiny.embed(shuffled, rows=rows, length_tokens=length), limit)
    if rows > 7:
        close(together, tiny.embed(chosen, rows=7, length_tokens=length), limit)


@pytest.mark.fault("F26", "F27")
def test_texts_of_any_kind_give_finite_rows(tiny: Tiny) -> None:
    encoder = tiny.encoder
    result = tiny.embed(ODD_TEXTS, rows=1, length_tokens=tiny.length_tokens)
    assert result.shape == (len(ODD_TEXTS), encoder.width)
    assert np.isfinite(result).all()
    for text, row in zip(ODD_TEXTS, result, strict=True):
        if not len(encoder.tokenize(text).ids):
            assert not row.any()
    assert result[-1].any()


@pytest.mark.fault("F28")
def test_over_long_texts_are_cut_at_the_limit_and_counted(tiny: Tiny) -> None:
    tokens = tiny.encoder.tokenize(_DRAWN)
    assert len(tokens.ids) == LIMIT
    assert 0 < tokens.dropped_bp < len(_DRAWN)
    assert tiny.encoder.tokenize(_DRAWN[:30]).dropped_bp == 0
    assert tiny.encoder.tokenize("ACGTNNACGT").unknown_bp == 2


def test_batches_of_texts_tokenize_as_texts_do(tiny: Tiny) -> None:
    encoder = tiny.encoder
    together = encoder.tokenize_many(ODD_TEXTS)
    for index, text in enumerate(ODD_TEXTS):
        alone = encoder.tokenize(text)
        ids = together.ids[together.starts[index] : together.starts[index + 1]]
        np.testing.assert_array_equal(ids, alone.ids)
        assert (together.dropped_bp[index], together.unknown_bp[index]) == (
            alone.dropped_bp,
            alone.unknown_bp,
        )


def test_the_seed_decides_the_weights(tiny: Tiny) -> None:
    leaves = jax.tree.leaves(tiny.encoder.params)
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)
    identity = tiny.encoder.identity
    assert (identity.weights, identity.revision) == ("random:3", "random:3")
    assert all(len(digest) == 64 for digest in (identity.tokenizer, identity.config))


def operations(jaxpr: Any) -> int:
    """Operations of a traced program, those of its loops' bodies once."""
    count = 0
    for equation in jaxpr.eqns:
        count += 1
        for value in jax.tree.leaves(equation.params, is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                count += operations(inner)
    return count


@pytest.mark.parametrize("family", sorted(TINY))
def test_the_program_does_not_grow_with_depth(family: str) -> None:
    """Layers are scanned, so a deep model compiles as fast as a shallow one."""
    counts = []
    for layer_count in (4, 32):
        encoder = tiny_encoder(family, layer_count=layer_count)
        ids = np.zeros((2, 64), np.int32)
        traced = jax.make_jaxpr(encoder.pooled)(encoder.params, ids, ids == 0)
        counts.append(operations(traced.jaxpr))
    assert counts[0] == counts[1] > 20
