"""The options of a load are one value: checked, frozen, and fit to be sent to another process."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geneb_jax.models
from geneb_jax.errors import SelectionError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.native_encoder import NativeEncoder


def test_options_are_frozen_and_survive_pickling() -> None:
    options = LoadOptions(path=Path("here"), weights="random", seed=3, dtype="bfloat16", layer=2)
    assert pickle.loads(pickle.dumps(options)) == options
    assert hash(options) == hash(dataclasses.replace(options))
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.seed = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float8"}, "unknown dtype 'float8'.*bfloat16"),
        ({"weights": "trained"}, "unknown weights 'trained'"),
        ({"pooling": "median"}, "unknown pooling 'median'.*mean"),
    ],
)
def test_unknown_choices_are_refused_before_anything_is_loaded(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SelectionError, match=message):
        LoadOptions(**arguments)


def test_options_need_no_jax() -> None:
    code = (
        "import sys; from geneb_jax.models import LoadOptions; LoadOptions(pooling='geneb');"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_encoders_of_one_model_share_its_parameters_and_others_keep_theirs() -> None:
    own = load_encoder("tiny-nt-v1")
    assert isinstance(own, NativeEncoder)
    other = load_encoder("tiny-nt-v1", LoadOptions(pooling="cls", layer=0))
    sharing = other.with_parameters_of(own)
    assert sharing.params is own.params
    assert sharing.identity == other.identity
    assert other.params is not own.params
    for options in (LoadOptions(seed=1), LoadOptions(dtype="bfloat16")):
        differing = load_encoder("tiny-nt-v1", options)
        assert differing.with_parameters_of(own) is differing
    foreign = load_encoder("tiny-nt-v2")
    assert foreign.with_parameters_of(own) is foreign
    ids, mask = np.arange(12)[None], np.ones((1, 12), bool)
    np.testing.assert_array_equal(
        sharing.pooled(sharing.params, ids, mask), other.pooled(other.params, ids, mask)
    )


def test_the_front_door_takes_the_same_options_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def remember(name: str, options: LoadOptions) -> NativeEncoder:
        seen.append((name, options))
        encoder = load_encoder(name, options)
        assert isinstance(encoder, NativeEncoder)
        return encoder

    monkeypatch.setattr(geneb_jax.models, "load_encoder", remember, raising=False)
    model = geneb_jax.load_model(
        "tiny-nt-v1", weights="random", seed=4, dtype="bfloat16", offline=True
    )
    model.embed(["ACGT"], pooling="cls", layer=0)
    asked = LoadOptions(weights="random", seed=4, dtype="bfloat16", offline=True)
    assert seen == [
        ("tiny-nt-v1", asked),
        ("tiny-nt-v1", dataclasses.replace(asked, pooling="cls", layer=0)),
    ]


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(pooling="mean"),
        LoadOptions(layer=0),
        LoadOptions(dtype="bfloat16"),
        LoadOptions(path="weights"),
    ],
)
def test_counts_of_words_have_nothing_to_set(options: LoadOptions) -> None:
    (changed,) = (
        f.name for f in dataclasses.fields(options) if getattr(options, f.name) != f.default
    )
    with pytest.raises(SelectionError, match=f"kmer-3 counts words.*--{changed} could set"):
        load_encoder("kmer-3", options)
    untrained = load_encoder("kmer-3", LoadOptions(weights="random", pooling="geneb"))
    assert untrained.identity == load_encoder("kmer-3").identity
