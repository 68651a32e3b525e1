"""The library's front door with a small native network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import geneb_jax
from geneb_jax import load_model
from geneb_jax.embed import embed_into, open_store
from geneb_jax.models import ModelSpec
from tests.tolerance import Tolerance, relative_error


def test_layers_and_poolings_share_one_copy_of_the_weights(draw: Any, tolerance: Tolerance) -> None:
    model = load_model("tiny-nt-v1")
    sequences = draw(5, 50, 120)
    rows = model.embed(sequences)
    assert rows.shape == (5, model.width) and rows.dtype == np.float32
    assert isinstance(model.spec, ModelSpec)
    first = model.embed(sequences, layer=0)
    assert np.abs(first - rows).max() > 0.01
    own, other = (entry[0] for entry in model._encoders.values())
    assert own.params is other.params
    again = model.embed(sequences[::-1])[::-1]
    assert (
        np.abs(again - rows).max() <= tolerance("batch_invariance", "float32") * np.abs(rows).max()
    )


def test_a_network_is_stored_as_it_is_embedded(
    draw: Any, table: Any, tmp_path: Any, tolerance: Tolerance
) -> None:
    model = load_model("tiny-nt-v2")
    sequences = table(draw(12, 30, 90))
    store = open_store(tmp_path, model.encoder)
    report = embed_into(store, model.encoder, sequences)
    assert report.embedded == 12 and report.unknown_bp == 0
    rows = model.embed(sequences.sequences)
    assert relative_error(store.read(sequences.digests), rows) <= tolerance(
        "batch_invariance", "float32"
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("ACGT", "put it in a list"),
        (b"ACGT", "not one bytes"),
        ((text for text in ["ACGT"]), "list(...)"),
        (None, "not None"),
        (5, "not int"),
        ([None], "sequences[0] must be a string, not None"),
        (["ACGT", b"ACGT"], "sequences[1] must be a string, not bytes"),
        (["ACGT", 5], "sequences[1] must be a string, not int"),
    ],
)
def test_what_is_no_list_of_texts_gets_one_sentence(bad: Any, said: str) -> None:
    with pytest.raises(TypeError) as refused:
        load_model("kmer-1").embed(bad)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_lists_of_other_libraries_are_lists() -> None:
    pandas = pytest.importorskip("pandas")
    model = load_model("kmer-1")
    rows = model.embed(["ACGT", "GG"])
    for texts in (np.array(["ACGT", "GG"]), pandas.Series(["ACGT", "GG"]), ("ACGT", "GG")):
        np.testing.assert_array_equal(model.embed(texts), rows)
    with pytest.raises(TypeError, match="must be a string, not list"):
        model.tokenize(["ACGT"])  # type: ignore[arg-type]


def test_progress_is_shown_or_told(capfd: pytest.CaptureFixture[str]) -> None:
    model = load_model("kmer-1")
    told = []
    rows = model.embed(["ACGT", "GG"], progress=told.append)
    assert told[-1].sequences_done == told[-1].sequences_total == 2
    np.testing.assert_array_equal(model.embed(["ACGT", "GG"], progress=True), rows)
    shown = capfd.readouterr()
    assert "kmer-1: embedding" in shown.err and not shown.out


def test_a_model_and_the_package_say_what_they_are() -> None:
    shown = repr(load_model("kmer-4"))
    assert shown.startswith("<Model kmer-4: width 256,") and shown.endswith("on cpu>")
    assert "up to 1,000 tokens" in repr(load_model("tiny-nt-v1"))
    assert dir(geneb_jax) == ["__version__", "kernels", "load_model", "probes", "run", "wrap"]
    for name in dir(geneb_jax):
        assert getattr(geneb_jax, name) is not None
