"""A user's own Flax module, and `encode`: against Flax and NumPy called directly."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import geneb_jax
from geneb_jax.errors import ModelError, SelectionError
from geneb_jax.models.encoder import TokenEncoder
from tests.tolerance import Tolerance, relative_error

TEXTS = ["ACGT", "GATTACAGATTACAGATTACA", "C"]


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(5, 8, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(8, 6, rngs=rngs)

    def __call__(self, ids, mask):
        return nnx.gelu(self.out(self.drop(self.embed(ids))))


class Mixing(nnx.Module):
    """Pools by itself and looks at padding, as it should not."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(5, 8, rngs=rngs)

    def __call__(self, ids, mask):
        return self.embed(ids).mean(1)


class Line(linen.Module):
    @linen.compact
    def __call__(self, ids, mask):
        return linen.Embed(5, 7)(ids)


def letters(sequence: str) -> list[int]:
    return ["ACGT".find(letter) + 1 for letter in sequence]


def _directly(network: Network, text: str) -> np.ndarray:
    network.eval()
    ids = jnp.asarray([letters(text)])
    return np.asarray(network(ids, ids >= 0)).mean(1)[0]


def test_a_module_gives_what_flax_gives_sequence_by_sequence(tolerance: Tolerance) -> None:
    network = Network(nnx.Rngs(0))
    got = geneb_jax.wrap(network, letters).embed(TEXTS)
    want = np.stack([_directly(Network(nnx.Rngs(0)), text) for text in TEXTS])
    assert relative_error(got, want) <= tolerance("wrapped_module", "float32")
    assert not network.drop.deterministic  # the user's own object is as it was


def test_identity_follows_arrays_code_and_tokenizer() -> None:
    def other_letters(sequence: str) -> list[int]:
        return ["TGCA".find(letter) + 1 for letter in sequence]

    def identity(*parts: object, **more: object) -> str:
        return geneb_jax.wrap(*parts, **more).encoder.identity.digest

    first = identity(Network(nnx.Rngs(0)), letters)
    assert identity(Network(nnx.Rngs(0)), letters) == first
    others = {
        identity(Network(nnx.Rngs(1)), letters),
        identity(Network(nnx.Rngs(0)), other_letters),
        identity(Network(nnx.Rngs(0)), letters, pooling="max"),
        identity(Network(nnx.Rngs(0)), letters, key="v1"),
    }
    assert len(others | {first}) == 5


def test_a_module_that_padding_moves_is_given_equal_lengths(
    caplog: pytest.LogCaptureFixture, tolerance: Tolerance
) -> None:
    model = geneb_jax.wrap(Mixing(nnx.Rngs(0)), letters)
    assert "padding changes its embeddings" in caplog.text
    table = np.asarray(Mixing(nnx.Rngs(0)).embed.embedding)
    want = np.stack([table[letters(text)].mean(0) for text in TEXTS])
    assert relative_error(model.embed(TEXTS), want) <= tolerance("wrapped_module", "float32")


def test_linen_modules_come_with_their_variables(tolerance: Tolerance) -> None:
    ids = jnp.asarray([letters(TEXTS[0])])
    variables = Line().init({"params": nnx.Rngs(3).params()}, ids, ids >= 0)
    got = geneb_jax.wrap(Line(), letters, variables=variables).embed(TEXTS[:1])
    table = np.asarray(variables["params"]["Embed_0"]["embedding"])
    want = table[letters(TEXTS[0])].mean(0)[None]
    assert relative_error(got, want) <= tolerance("wrapped_module", "float32")
    with pytest.raises(ModelError, match="needs its variables"):
        geneb_jax.wrap(Line(), letters)


def test_what_cannot_be_a_model_is_refused() -> None:
    with pytest.raises(ModelError, match="more than 4"):
        geneb_jax.wrap(Network(nnx.Rngs(0)), letters, max_tokens=4).embed(TEXTS)
    with pytest.raises(ModelError, match="is no Flax module"):
        geneb_jax.wrap(object(), letters)
    with pytest.raises(ModelError, match="expected ids"):
        geneb_jax.wrap(Network(nnx.Rngs(0)), lambda text: [[1]])
    with pytest.raises(SelectionError, match="decides dtype by itself"):
        geneb_jax.load_model(
            geneb_jax.wrap(Network(nnx.Rngs(0)), letters).encoder, dtype="bfloat16"
        )


def test_encode_is_embed_in_another_s_words(tolerance: Tolerance) -> None:
    model = geneb_jax.load_model("kmer-2")
    rows = model.embed(TEXTS[:2])
    np.testing.assert_array_equal(model.encode(TEXTS[:2], batch_size=1, prompt=None), rows)
    np.testing.assert_array_equal(model.encode(TEXTS[0]), rows[0])
    batches = iter([{"text": TEXTS[:1]}, {"text": TEXTS[1:2]}])
    as_mteb = model.encode(batches, task_metadata=None, hf_split="test", hf_subset="default")
    np.testing.assert_array_equal(as_mteb, rows)
    lengths = np.linalg.norm(model.encode(TEXTS[:2], normalize_embeddings=True), axis=1)
    assert relative_error(lengths, np.ones(2)) <= tolerance("wrapped_module", "float32")
    with pytest.raises(ValueError, match="truncate_dim=8"):
        model.encode(TEXTS, truncate_dim=8)
    with pytest.raises(TypeError, match="no option 'speed'"):
        model.encode(TEXTS, speed=3)


def test_a_file_that_holds_one_is_batched_and_filed_by_its_content(tmp_path: Path) -> None:
    source = (
        "import geneb_jax\nfrom flax import nnx\n"
        "def letters(text):\n    return ['ACGT'.find(letter) + 1 for letter in text]\n"
        "class Network(nnx.Module):\n"
        "    def __init__(self, rngs):\n        self.embed = nnx.Embed(5, 8, rngs=rngs)\n"
        "    def __call__(self, ids, mask):\n        return self.embed(ids)\n"
        "model = geneb_jax.wrap(Network(nnx.Rngs(0)), letters)\n"
    )
    file = tmp_path / "mine.py"
    file.write_text(source, encoding="utf-8")
    first, again = (geneb_jax.load_model(f"{file}:model").encoder for _ in range(2))
    assert isinstance(first, TokenEncoder)
    assert first.identity == again.identity
    assert first.identity.model_id == "mine.model"
    file.write_text(source.replace("Rngs(0)", "Rngs(1)"), encoding="utf-8")
    assert geneb_jax.load_model(f"{file}:model").encoder.identity != first.identity
