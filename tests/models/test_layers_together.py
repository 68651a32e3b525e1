"""All layers and poolings from one forward: the vectors of each alone, to the bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertModel

from geneb_jax.embed import embed_sequences, limited, load_model
from geneb_jax.errors import SelectionError
from geneb_jax.models import Encoder, LoadOptions, blueprint, load_encoder, registry
from geneb_jax.models.context import with_policy
from geneb_jax.models.variants import chosen_variants
from tests.models.test_encoder_contract import TINY
from tests.models.test_torch_adapter import write_folder
from tests.tolerance import Tolerance, relative_error

#: Two lengths: a few letters, and none that is shorter than Enformer's window.
TEXTS = tuple(
    "".join(np.random.default_rng(seed).choice(list("ACGT"), length))
    for seed, length in enumerate((60, 58, 150))
)
LAYERS = 3
POOLINGS = ("mean", "last", "max")
_SWEPT = sorted(set(TINY) - {"esm"})


def tiny(family: str, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """A family's tiny network of the contract test, some layers deep, with random weights."""
    name, changes, tokenizer = TINY[family]
    spec = registry()[name]
    if family != "stripedhyena":  # its layers are of two kinds, and four already
        changes = changes | {"layer_count": LAYERS}
    spec = dataclasses.replace(spec, config=dict(spec.config) | changes)
    if tokenizer is not None:
        spec = dataclasses.replace(spec, tokenizer=registry()[tokenizer].tokenizer)
    monkeypatch.setattr(blueprint, "find_spec", lambda _: spec)
    return load_encoder(name, LoadOptions(weights="random"))


def parts_of(rows: np.ndarray, members: list[Encoder]) -> list[np.ndarray]:
    return np.split(rows, np.cumsum([one.width for one in members])[:-1], axis=1)


def require_same_bits(encoder: Encoder, members: list[Encoder], alone: list[Encoder]) -> None:
    found = dict(
        zip(
            (one.identity for one in members),
            parts_of(embed_sequences(encoder.joined(members), TEXTS), members),
            strict=True,
        )
    )
    for one in alone:
        expected = embed_sequences(one, TEXTS)
        assert expected.tobytes() == np.ascontiguousarray(found[one.identity]).tobytes(), (
            one.identity.layer,
            one.identity.pooling,
        )
        assert len({row.tobytes() for row in expected}) == len(TEXTS)


def test_every_layer_of_one_forward_has_the_bits_of_the_layer_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = tiny("esm", monkeypatch)
    members = [one for _, one in chosen_variants(encoder, "all", POOLINGS)]
    assert len(members) == (LAYERS + 1) * len(POOLINGS)
    # Each layer alone, under a pooling of its own: a compilation is what takes the time.
    alone = [encoder.variant(layer, POOLINGS[layer % 3]) for layer in range(LAYERS + 1)]
    require_same_bits(encoder, members, alone)


@pytest.mark.sweep
@pytest.mark.parametrize("family", _SWEPT)
def test_every_layer_and_pooling_of_any_family(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tiny(family, monkeypatch)
    members = [one for _, one in chosen_variants(encoder, "all", POOLINGS)]
    require_same_bits(encoder, members, members)


@pytest.mark.sweep
def test_some_layers_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny("llama", monkeypatch)
    members = [encoder.variant(layer, "mean+normalize") for layer in (2, 0)]
    require_same_bits(encoder, members, members)


def test_a_variant_is_what_loading_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny("enformer", monkeypatch)
    name = TINY["enformer"][0]
    for layer, pooling in ((0, "max"), (2, None), (3, "geneb"), (-1, "mean"), (-2, "cls")):
        options = LoadOptions(weights="random", layer=layer, pooling=pooling)
        loaded = load_encoder(name, options)
        one = encoder.variant(layer, pooling)
        assert (one.identity, one.width) == (loaded.identity, loaded.width)
    assert encoder.width == 48 and encoder.variant(1, None).width == 24
    with pytest.raises(SelectionError, match="no hidden state 4"):
        encoder.variant(4, None)
    with pytest.raises(SelectionError, match="unknown pooling 'avg'"):
        encoder.variant(0, "avg")


def require_the_policy_of_each_alone(encoder: Encoder, plain: Encoder) -> None:
    """In windows, several layers give each one's rows alone, of unit length where it is asked."""
    members = [
        encoder.variant(layer, pooling)
        for layer in (1, -1)
        for pooling in ("mean", "cls+normalize")
    ]
    assert {one.overlong for one in members} == {encoder.overlong}
    require_same_bits(encoder, members, members)
    joint = encoder.joined(members)
    assert joint.overlong == encoder.overlong
    rows = parts_of(embed_sequences(joint, TEXTS), members)
    assert np.linalg.norm(rows[1], axis=1) == pytest.approx(1) == np.linalg.norm(rows[3], axis=1)
    cut = embed_sequences(plain.variant(-1, "mean"), TEXTS)
    assert (rows[2][1] == cut[1]).all() and (rows[2][2] != cut[2]).any()


def test_windows_of_several_layers_are_those_of_each_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    encoder = tiny("esm", monkeypatch)
    policy = "windows:60:30"
    require_the_policy_of_each_alone(with_policy(encoder, policy), encoder)
    smaller = limited(with_policy(encoder, policy), 64)
    members = [smaller.variant(layer, "mean+normalize") for layer in (0, 1)]
    assert smaller.joined(members).vectors == (("mean+normalize", encoder.width),) * 2


def test_windows_and_refusals_of_torch_layers(tmp_path: Path) -> None:
    name = f"torch:{write_folder('bert', tmp_path / 'bert')}"
    encoder, plain = (load_encoder(name, LoadOptions(overlong=o)) for o in ("windows:60:30", None))
    require_the_policy_of_each_alone(encoder, plain)
    refusing = load_encoder(name, LoadOptions(overlong="refuse"))
    assert refusing.variant(0, "cls").overlong.kind == "refuse"


def test_smaller_batches_are_part_of_each_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny("esm", monkeypatch)
    smaller = limited(encoder, 64)
    one = smaller.variant(1, "cls")
    assert one.identity == limited(encoder.variant(1, "cls"), 64).identity
    assert smaller.joined([one]).identity.batch_tokens == "64"


def test_counts_and_objects_have_no_layers() -> None:
    class Letters:
        def embed(self, sequences: list[str]) -> np.ndarray:
            return np.array([[one.count(x) for x in "ACGT"] for one in sequences], np.float32)

    for model in ("kmer-4", Letters()):
        with pytest.raises(SelectionError, match="in a way of its own"):
            load_model(model).embed_layers(["ACGT"])


def test_torch_models_give_all_hidden_states_at_once(tmp_path: Path, tolerance: Tolerance) -> None:
    folder = write_folder("bert", tmp_path / "bert")
    model = load_model(f"torch:{folder}")
    texts = ["GATTACA" * 9, "ACGTTGCANNACGT", ""]
    found = model.embed_layers(texts, pooling=("mean", "cls"))
    assert list(found) == [(layer, p) for p in ("mean", "cls") for layer in range(3)]
    for (layer, pooling), rows in found.items():
        alone = model.embed(texts, layer=layer, pooling=pooling)
        assert alone.tobytes() == np.ascontiguousarray(rows).tobytes()
    theirs = BertModel.from_pretrained(folder).eval()
    ids = torch.tensor([model.encoder._tokens.ids(texts[:1])[0]])  # type: ignore[attr-defined]
    with torch.inference_mode():
        states: Any = theirs(ids, output_hidden_states=True).hidden_states
    for layer in range(3):
        expected = states[layer][0].mean(0).numpy()
        error = relative_error(found[layer, "mean"][0], expected)
        assert error <= tolerance("torch_adapter", "float32")


def test_the_library_gives_layers_by_number() -> None:
    model = load_model("tiny-nt-v1")
    count = model.encoder.layer_count
    assert count is not None
    found = model.embed_layers(list(TEXTS), layers=(0, -1), pooling="cls")
    assert list(found) == [(0, "cls"), (count, "cls")]
    first = found[0, "cls"]
    assert (first == first[0]).all()  # the same token starts every sequence
    alone = model.embed(list(TEXTS), pooling="cls")
    assert alone.tobytes() == np.ascontiguousarray(found[count, "cls"]).tobytes()
