"""``geneb-jax verify`` on a small checkpoint of a loopback hub, against transformers' embedding."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from geneb_jax.errors import DownloadError, SelectionError
from geneb_jax.models import LoadOptions, load_encoder, oracles, registry
from geneb_jax.models.native_encoder import NativeEncoder
from geneb_jax.models.oracles import Oracle, oracles_of
from geneb_jax.resources import config_folder
from tests.hub_server import Hub, serve_as_the_hub
from tests.models.esm_checkpoints import SMALL_ESM, SMALL_NT_V2, esm_model, save, torch_pooled
from tests.models.small_registration import register

MODEL = "nucleotide-transformer-v2-50m-multi-species"
WITHOUT = {"METAGENE-1", "evo-1-131k-base", "splicebert-1024nt"}


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Oracle]:
    """The hub holds a small checkpoint under the published id; transformers made its oracle."""
    model = esm_model(**SMALL_ESM)
    spec = registry()[MODEL]
    (published,) = oracles_of(spec)
    assert published.token_ids is not None
    ids = np.array([published.token_ids])
    row = torch_pooled(model, ids, np.ones(ids.shape, bool))[0]
    oracle = dataclasses.replace(published, embedding=row)
    monkeypatch.setattr(oracles, "_oracles", lambda: (oracle,))
    content = (save(model, tmp_path / "made") / "model.safetensors").read_bytes()
    register(spec, content, SMALL_NT_V2, monkeypatch)
    hub = Hub(
        {str(spec.source.hub_id): {"model.safetensors": content}},
        {str(spec.source.hub_id): str(spec.source.revision)},
    )
    with serve_as_the_hub(hub, tmp_path / "cache", monkeypatch):
        yield oracle


def test_a_matching_checkpoint_of_the_hub_passes(
    geneb: Callable[..., Any], recorded: Oracle
) -> None:
    answer = geneb("verify", MODEL)
    assert answer.code == 0, answer.err
    header, row = (line.split("\t") for line in answer.out.splitlines())
    assert dict(zip(header, row, strict=True)) | {
        "sequence": "ATTCCGATTCCGATTCCG",
        "tokens": "same",
        "allowed": "1.00e-04",
        "verdict": "pass",
    } == dict(zip(header, row, strict=True))
    document = json.loads(geneb("verify", MODEL, "--json", "--offline").out)
    (vector,) = document["vectors"]
    assert document["passed"] and vector["passed"] and vector["tokens"]
    assert document["model"]["revision"] == registry()[MODEL].source.revision
    assert 0 < vector["max_abs"] < vector["allowed_max_abs"]
    assert 1 - 1e-9 < vector["cosine"] <= 1 + 1e-12


@pytest.mark.parametrize("change", ["embedding", "tokens"])
def test_another_recording_fails(
    change: str,
    geneb: Callable[..., Any],
    recorded: Oracle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedding = recorded.embedding.copy()
    embedding[7] += 2e-3
    changes = {"embedding": {"embedding": embedding}, "tokens": {"token_ids": (3, 367, 367)}}
    other = dataclasses.replace(recorded, **changes[change])
    monkeypatch.setattr(oracles, "_oracles", lambda: (other,))
    answer = geneb("verify", MODEL)
    assert answer.code == 1
    assert "FAIL" in answer.out
    assert ("differ" in answer.out) == (change == "tokens")


def test_a_folder_with_one_changed_tensor_fails(
    geneb: Callable[..., Any], recorded: Oracle, tmp_path: Path
) -> None:
    file = tmp_path / "made" / "model.safetensors"
    assert geneb("verify", MODEL, "--path", file.parent).code == 0
    tensors = load_file(file)
    tensors["encoder.layer.1.attention.self.value.weight"] *= 1.01
    save_file(tensors, file)
    answer = geneb("verify", MODEL, "--path", file.parent, "--json")
    assert answer.code == 1
    assert not json.loads(answer.out)["passed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("METAGENE-1",), "no embedding of the real METAGENE-1 was recorded"),
        (("no-such-model",), "unknown model"),
        (("DNABERT-S", "--path", "no/such/folder"), "no/such/folder"),
        (("DNABERT-S", "--offline"), "zhihan1996/DNABERT-S is not in the local cache"),
    ],
)
def test_nothing_to_compare(
    arguments: tuple[str, ...], said: str, geneb: Callable[..., Any]
) -> None:
    answer = geneb("verify", *arguments)
    assert answer.code == 2
    assert said in answer.err


def test_what_ships_is_what_the_models_declare() -> None:
    for model_id, spec in registry().items():
        if model_id in WITHOUT:
            assert spec.oracle is None
            with pytest.raises(SelectionError):
                oracles_of(spec)
            continue
        found = oracles_of(spec)
        assert spec.oracle is not None
        assert len(found) == spec.oracle.vectors
        for oracle in found:
            assert np.isfinite(oracle.embedding).all()
    packed = (config_folder() / "oracles" / "oracles.jsonl.gz").read_bytes()
    assert len(gzip.decompress(packed).splitlines()) == 57


def test_recorded_sequences_tokenize_as_recorded_and_widths_agree() -> None:
    """With the true tokenizers, wherever they ship; weights are drawn on use, so not here."""
    without_tokenizer = set()
    for model_id in sorted(set(registry()) - WITHOUT):
        try:
            encoder = load_encoder(model_id, LoadOptions(weights="random", offline=True))
        except DownloadError:
            without_tokenizer.add(model_id)
            continue
        assert isinstance(encoder, NativeEncoder)
        for oracle in oracles_of(registry()[model_id]):
            assert oracle.embedding.shape == (encoder.width,)
            if oracle.token_ids is not None:
                ids = encoder.tokenize(oracle.sequence).ids
                assert tuple(ids.tolist()) == oracle.token_ids, model_id
    assert without_tokenizer == {
        "GROVER",
        "GenomeOcean-4B",
        "GenomeOcean-500M",
        "OmniNA-220m",
        "eccdnamamba_weights",
        "gpt2_gene_multi_v2_ft",
        "gpt2_gene_v1",
    }
