"""What a name means, what an identity says, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import geneb_jax.models.blueprint as blueprint
from geneb_jax.errors import CheckpointError, ModelError, SelectionError
from geneb_jax.identity import EncoderIdentity
from geneb_jax.models import LoadOptions, load_encoder, registry
from geneb_jax.models.checkpoints.file_digests import file_sha256
from geneb_jax.models.encoder import BATCH_RULES
from geneb_jax.models.pooling_choice import chosen_pooling
from geneb_jax.models.spec import SourceSpec
from geneb_jax.tokenizers import built_in_vocabulary
from tests.models.esm_checkpoints import FORMS, esm_model, save
from tests.tolerance import Tolerance

SMALL = FORMS["rotary"] | {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NT = "nucleotide-transformer-v2-50m-multi-species"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = save(esm_model(**SMALL), tmp_path_factory.mktemp("loading") / "my-model")
    (path / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text)
    (path / "tokenizer_config.json").write_text('{"eos_token": null, "model_max_length": 100}')
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "my-model"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_identity_of_a_folder(folder: Path) -> None:
    identity = load_encoder(folder).identity
    assert identity.model_id == "my-model"
    assert identity.revision == "local"
    assert identity.weights == file_sha256(folder / "model.safetensors")
    assert (identity.pooling, identity.layer, identity.dtype) == ("mean", -1, "float32")
    assert identity.code == f"esm/1+{BATCH_RULES}"
    assert load_encoder(str(folder)).identity == identity


def different(one: EncoderIdentity, other: EncoderIdentity) -> set[str]:
    pairs = zip(one.as_dict().items(), other.as_dict().items(), strict=True)
    return {name for (name, value), (_, changed) in pairs if value != changed}


def test_everything_that_changes_a_value_changes_the_identity(folder: Path, copy: Path) -> None:
    base = load_encoder(folder).identity
    assert different(base, load_encoder(folder, LoadOptions(pooling="cls")).identity) == {"pooling"}
    assert different(base, load_encoder(folder, LoadOptions(layer=1)).identity) == {"layer"}
    assert different(base, load_encoder(folder, LoadOptions(layer=2)).identity) == set()
    assert different(base, load_encoder(folder, LoadOptions(dtype="bfloat16")).identity) == {
        "dtype"
    }
    random = load_encoder(folder, LoadOptions(weights="random", seed=5)).identity
    assert different(base, random) == {"revision", "weights"}
    assert random.weights == "random:5"
    assert different(base, load_encoder(copy).identity) == set()

    edit(copy / "config.json", layer_norm_eps=1e-6)
    assert different(base, load_encoder(copy).identity) == {"config"}
    shutil.copy(folder / "config.json", copy)
    edit(copy / "tokenizer_config.json", model_max_length=50)
    assert different(base, load_encoder(copy).identity) == {"tokenizer"}
    shutil.copy(folder / "tokenizer_config.json", copy)
    (copy / "vocab.txt").write_text(built_in_vocabulary("nt-v1").text)
    assert different(base, load_encoder(copy).identity) == {"tokenizer"}
    shutil.copy(folder / "vocab.txt", copy)
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(content))
    assert different(base, load_encoder(copy).identity) == {"weights"}


def test_weights_are_not_read_before_they_are_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geneb_jax.models.checkpoints.assembly import FittedCheckpoint

    def refuse(self: FittedCheckpoint, *, dtype: str) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(FittedCheckpoint, "load", refuse)
    encoder = load_encoder(folder)
    assert encoder.width == 32
    assert encoder.tokenize("ACGT").ids.tolist()
    with pytest.raises(AssertionError, match="weights were read"):
        _ = encoder.params


def test_random_weights_are_decided_by_the_seed_alone(tolerance: Tolerance) -> None:
    one = load_encoder("tiny-nt-v2").params
    for changed in ({"seed": 0}, {"weights": "random"}):
        again = load_encoder("tiny-nt-v2", LoadOptions(**changed)).params
        for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(again), strict=True):
            np.testing.assert_array_equal(left, right)
    other = load_encoder("tiny-nt-v2", LoadOptions(seed=1)).params
    assert not np.array_equal(one["tokens"]["table"], other["tokens"]["table"])
    table = np.asarray(one["tokens"]["table"])
    assert table.std() == pytest.approx(0.02, rel=tolerance("drawn_weights", "sd"))
    assert np.all(np.asarray(one["final_norm"]["scale"]) == 1)
    assert not np.any(np.asarray(one["layers"]["query"]["bias"]))
    kernel = np.asarray(one["layers"]["query"]["kernel"])
    assert not np.array_equal(kernel[0], kernel[1])


def test_untrained_controls_need_no_files_and_say_so() -> None:
    encoder = load_encoder("tiny-nt-v1", LoadOptions(offline=True))
    assert encoder.identity.revision == "built-in"
    assert encoder.identity.weights == "random:0"
    ids = encoder.tokenize("ACGTACGTN").ids[None]
    result = jax.jit(encoder.pooled)(encoder.params, ids, np.ones(ids.shape, bool))
    assert result.shape == (1, encoder.width)
    assert np.isfinite(result).all()


def test_a_published_model_untrained_at_its_true_size() -> None:
    encoder = load_encoder(NT, LoadOptions(weights="random", offline=True))
    assert encoder.identity.revision == "random:0"
    assert encoder.width == 512
    assert sum(leaf.size for leaf in jax.tree.leaves(encoder.params)) == 52_484_608
    assert len(encoder.tokenize("ACGTAC" * 3000).ids) == 2048


def test_a_registered_model_from_a_folder(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from tests.models.esm_checkpoints import published_tensors

    model_id = "nucleotide-transformer-v2-50m-3mer-multi-species"
    published = published_tensors(model_id)["tensors"]
    tensors = {name: np.zeros(shape, np.float32) for name, (shape, _) in published.items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    for path in (tmp_path, tmp_path / "weights.safetensors"):
        encoder = load_encoder(model_id, LoadOptions(path=path))
        assert encoder.identity.model_id == model_id
        assert encoder.identity.revision == "local"
        assert encoder.tokenize("ATTCCGATTCCGATTCCG").ids.tolist() == [3, 11, 49, 11, 49, 11, 49]


def test_hidden_states_by_index(folder: Path) -> None:
    encoder = load_encoder(folder)
    ids = encoder.tokenize("ACGTACGTN").ids[None]
    mask = np.ones(ids.shape, bool)
    for layer in range(3):
        one = encoder.hidden_states(encoder.params, ids, mask, layer=layer).values
        other = encoder.hidden_states(encoder.params, ids, mask, layer=layer - 3).values
        np.testing.assert_array_equal(one, other)
    for layer in (3, -4):
        with pytest.raises(SelectionError, match=f"no hidden state {layer}"):
            load_encoder(folder, LoadOptions(layer=layer))


def test_a_pooling_that_needs_the_whole_batch_is_refused_with_its_reason() -> None:
    spec = registry()["METAGENE-1"]
    assert chosen_pooling(spec, None) == "mean"
    with pytest.raises(ModelError, match=r"'mean-padded' cannot be reproduced.*padded rows"):
        chosen_pooling(spec, "geneb")
    assert chosen_pooling(replace(spec, pooling=registry()["DNABERT-S"].pooling), "geneb") == "cls"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "float8"}, "unknown dtype 'float8'.*bfloat16"),
        ({"weights": "trained"}, "unknown weights 'trained'"),
        ({"pooling": "median"}, "unknown pooling 'median'.*mean"),
    ],
)
def test_unknown_choices(folder: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        load_encoder(folder, LoadOptions(**arguments))


@pytest.mark.parametrize("name", ["no-such-model", "kmer-9", "./no/such/folder", "/no/such"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(SelectionError):
        load_encoder(name)


def test_models_that_must_be_fetched_by_hand_say_how(monkeypatch: pytest.MonkeyPatch) -> None:
    source = registry()["JanusDNA_72_w"].source
    by_hand = replace(registry()[NT], source=source)
    monkeypatch.setattr(blueprint, "find_spec", lambda name: by_hand)
    with pytest.raises(ModelError, match=r"model\.safetensors of .*Dataverse.*--path FOLDER"):
        load_encoder(NT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "resnet", "architectures": ["ResNetModel"]},
            "unknown architecture.*ResNetModel.*torch adapter",
        ),
        ({"model_type": None, "architectures": None}, "unknown architecture.*torch adapter"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "32"}, "hidden_size is '32', expected int"),
        ({"hidden_size": True}, "hidden_size is True, expected int"),
        ({"num_attention_heads": 5}, "do not divide by 5 heads"),
        ({"position_embedding_type": "relative_key"}, "'relative_key' is not supported"),
        ({"is_decoder": True}, "is_decoder is not supported"),
        ({"is_folding_model": True}, "is_folding_model is not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "scaled rotary"),
        ({"hidden_size": 64}, "has shape .*, expected .*two models"),
        ({"num_hidden_layers": 3}, "16 tensors are missing: .*layer.2"),
        ({"num_hidden_layers": 1}, "16 tensors are unexpected: .*layer.1"),
        ({"position_embedding_type": "absolute"}, "missing: embeddings.position_embeddings.weight"),
        ({"vocab_size": 33}, r"ids up to 4106, the model has 33 rows"),
        ({"vocab_size": 4200}, r"embeddings\.weight has shape \[4107, 32\], expected \[4200, 32\]"),
    ],
)
def test_configs_that_do_not_fit(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy / "config.json", **changes)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(copy)


def test_configs_that_are_no_configs(copy: Path) -> None:
    (copy / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        load_encoder(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read as JSON"):
        load_encoder(copy)
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"needs a config\.json"):
        load_encoder(copy)


def test_an_id_means_the_registered_model_even_beside_a_folder_of_its_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "tiny-nt-v2")
    monkeypatch.chdir(tmp_path)
    assert load_encoder("tiny-nt-v2").identity.revision == "built-in"
    assert load_encoder("./tiny-nt-v2").identity.revision == "local"
    assert load_encoder(Path("tiny-nt-v2")).identity.revision == "local"
    with pytest.raises(SelectionError, match="there is no folder other"):
        load_encoder(Path("other"))


def snapshot(folder: Path, cache: Path) -> Path:
    """The folder as the hub's cache keeps it: a commit's folder with links into blobs."""
    place = cache / "models--org--small-model" / "snapshots" / COMMIT
    blobs = cache / "models--org--small-model" / "blobs"
    place.mkdir(parents=True)
    blobs.mkdir()
    for file in folder.iterdir():
        shutil.copy(file, blobs / file.name)
        (place / file.name).symlink_to(Path("../../blobs") / file.name)
    return place


def test_a_hub_snapshot_is_called_by_its_repository_and_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = snapshot(folder, tmp_path)
    (tmp_path / "link").symlink_to(place)
    monkeypatch.chdir(place)
    for name in (place, tmp_path / "link", str(tmp_path / "link") + "/", "."):
        encoder = load_encoder(name)
        identity = encoder.identity
        assert (identity.model_id, identity.revision) == ("org/small-model", COMMIT)
        assert encoder.spec is not None
        assert encoder.spec.source == SourceSpec("hub", "org/small-model", COMMIT)
    spec = replace(registry()[NT], config=dict(load_encoder(folder).spec.config))
    monkeypatch.setattr(blueprint, "find_spec", lambda name: spec)
    for path in (place, place / "model.safetensors"):
        identity = load_encoder(NT, LoadOptions(path=path)).identity
        assert (identity.model_id, identity.revision) == (NT, COMMIT)
    assert load_encoder(NT, LoadOptions(path=folder)).identity.revision == "local"


def test_a_plain_folder_is_called_by_its_own_name_however_it_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(shutil.copytree(folder, tmp_path / "run" / "checkpoint-500"))
    monkeypatch.chdir(place)
    for name in (".", "./", f"{place}/", "../checkpoint-500/", Path()):
        identity = load_encoder(name).identity
        assert (identity.model_id, identity.revision) == ("checkpoint-500", "local")
    shutil.copytree(place, tmp_path / "snapshots" / COMMIT)  # not the hub's cache
    assert load_encoder(tmp_path / "snapshots" / COMMIT).identity.model_id == COMMIT


def test_the_label_of_a_folder_says_what_its_tokenizer_does(folder: Path, tmp_path: Path) -> None:
    assert load_encoder(folder).spec.labels.tokenization == "k-mer"
    shutil.copytree(folder, tmp_path / "letters")
    vocabulary = ("<unk>", "<pad>", "<mask>", "<cls>", *"ACGTN")
    (tmp_path / "letters" / "vocab.txt").write_text("\n".join(vocabulary))
    letters = load_encoder(tmp_path / "letters", LoadOptions(weights="random"))
    assert letters.spec.labels.tokenization == "SN"
