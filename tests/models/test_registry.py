"""The 40 models and the built-in ones: whole, as published, and listed without JAX."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from geneb_jax.errors import ConfigError, ModelError, SelectionError
from geneb_jax.models import built_in_models, find_spec, is_native, native_families, registry
from geneb_jax.models.family import find_family
from geneb_jax.models.spec import read_spec
from geneb_jax.resources import config_folder
from tests.models.esm_checkpoints import published_tensors


def published(name: str) -> list[dict[str, str]]:
    text = (config_folder() / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_all_published_models_are_there_with_their_metadata() -> None:
    rows = {row["model_id"]: row for row in published("models.csv")}
    later = {"splicebert-1024nt"}
    assert set(registry()) == set(rows) | later
    assert (len(rows), len(registry())) == (40, 41)
    for model_id, row in rows.items():
        spec = registry()[model_id]
        assert spec.display == row["display"]
        assert spec.parameters == int(row["params_meta"])
        assert spec.labels.architecture == row["architecture"]
        assert spec.labels.tokenization == row["tokenization"]
        assert spec.labels.corpus == row["corpus"]


@pytest.mark.parametrize("model_id", registry())
def test_every_file_is_pinned(model_id: str) -> None:
    spec = registry()[model_id]
    assert spec.weights
    for file in (*spec.weights, *spec.tokenizer.files):
        assert len(file.sha256) == 64
        assert set(file.sha256) <= set("0123456789abcdef")
        if file.size_bytes is None:  # fetched by hand, and its size was not published
            assert spec.source.kind == "zenodo"
        else:
            assert file.size_bytes > 0
    if spec.source.kind == "hub":
        assert spec.source.hub_id is not None
        assert spec.source.hub_id.count("/") == 1
        assert spec.source.revision is not None
        assert len(spec.source.revision) == 40
    else:
        assert spec.source.instructions
    suffixes = {Path(file.name).suffix for file in spec.weight_files()}
    assert len(suffixes) == 1
    if any(file.name.endswith(".safetensors") for file in spec.weights):
        assert suffixes == {".safetensors"}


@pytest.mark.parametrize("model_id", registry())
def test_weight_files_are_as_large_as_their_tensors(model_id: str) -> None:
    """Sizes in the TOML against the published tensor table, which has another origin."""
    import math

    width = {"F32": 4, "BF16": 2, "F16": 2, "I64": 8}
    tensors = published_tensors(model_id)["tensors"].values()
    total = sum(math.prod(shape) * width[dtype] for shape, dtype in tensors)
    files = registry()[model_id].weight_files()
    if any(file.size_bytes is None for file in files):
        pytest.skip("the size was not published")
    stored = sum(file.size_bytes or 0 for file in files)
    tied = sum(
        math.prod(published_tensors(model_id)["tensors"][name][0]) * 4
        for name in published_tensors(model_id)["tied"]
    )
    # Containers take under 1 kB a tensor. Ties are stored once; JanusDNA keeps Adam's state.
    copies = 3 if model_id.startswith("JanusDNA") else 1
    slack = 1000 * len(published_tensors(model_id)["tensors"]) * copies + tied
    assert abs(stored - copies * total) <= slack


def test_a_reason_is_given_where_the_default_pooling_differs() -> None:
    for spec in registry().values():
        assert (spec.pooling.geneb != spec.pooling.default) == bool(spec.pooling.reason)


def test_the_configs_of_native_families_are_valid() -> None:
    for spec in (*registry().values(), *built_in_models().values()):
        if is_native(spec) and spec.family != "kmer":
            config = find_family(spec.family).read_config(spec.config, where=spec.model_id)
            assert config.layer_count > 0


def test_built_in_models() -> None:
    assert {f"kmer-{k}" for k in range(1, 7)} <= set(built_in_models())
    assert {"tiny-nt-v1", "tiny-nt-v2"} <= set(built_in_models())
    assert not set(built_in_models()) & set(registry())
    assert all(is_native(spec) for spec in built_in_models().values())
    assert {"esm", "kmer"} <= native_families()


def test_finding_by_id_and_by_hub_id() -> None:
    spec = find_spec("nucleotide-transformer-v2-50m-multi-species")
    assert find_spec(str(spec.source.hub_id)) is spec
    assert find_spec("tiny-nt-v2").source.kind == "built-in"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("nucleotide-transformer-v2-50m", "nucleotide-transformer-v2-50m-multi-species"),
        ("dnabert-ss", "DNABERT-S"),
        ("kmer-7", "kmer-6"),
        ("hyenadna", "hyenadna-medium-160k-seqlen-hf"),
    ],
)
def test_unknown_models_name_near_matches(asked: str, near: str) -> None:
    with pytest.raises(SelectionError, match=rf"unknown model '{asked}'.*{near}"):
        find_spec(asked)


def test_a_name_like_nothing_still_says_what_to_do() -> None:
    with pytest.raises(SelectionError, match="geneb-jax list models"):
        find_spec("zzzzzzzz")


def test_a_family_that_does_not_run_is_named() -> None:
    with pytest.raises(ModelError, match="'no_such_family' do not run here"):
        find_family("no_such_family")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('display = "NT-v2-50m-MS"', ""), "display: .*required"),
        (("parameters = 50_000_000", 'parameters = "many"'), "parameters: .*integer"),
        (("[pooling]", '[pooling]\nunknown = "x"'), r"pooling\.unknown: Unexpected"),
        (('kind = "hub"', 'kind = "ftp"'), r"source\.kind: Input should be"),
        (("[labels]", "[labels"), "not valid TOML"),
    ],
)
def test_faulty_files_are_refused_by_key(change: tuple[str, str], message: str) -> None:
    name = "nucleotide-transformer-v2-50m-multi-species.toml"
    text = (config_folder() / "models" / name).read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(ConfigError, match=message):
        read_spec(text.replace(*change), where=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 3}, r"config\.heads: Unexpected"),
        ({"hidden_size": "wide"}, r"config\.hidden_size"),
        ({"head_count": 7}, "do not divide by 7 heads"),
        ({"positions": "alibi"}, r"config\.positions"),
        ({"positions": "absolute"}, "position_count goes with absolute positions"),
        ({"hidden_size": 15, "head_count": 5}, "even head width"),
    ],
)
def test_faulty_configs_are_refused_by_key(change: dict[str, object], message: str) -> None:
    spec = find_spec("tiny-nt-v2")
    with pytest.raises(ConfigError, match=message):
        find_family("esm").read_config({**spec.config, **change}, where=spec.model_id)


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from geneb_jax.models import registry, built_in_models, is_native\n"
        "[is_native(spec) for spec in (*registry().values(), *built_in_models().values())]\n"
        "heavy = {'jax', 'flax', 'torch', 'transformers', 'safetensors'} & set(sys.modules)\n"
        "print(heavy)\n"
        "sys.exit(len(heavy))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
