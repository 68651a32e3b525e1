"""Any AutoModel through transformers: as the native families do, and without its own code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    EsmConfig,
    EsmModel,
    LlamaConfig,
    LlamaModel,
    RoFormerConfig,
    RoFormerModel,
)

from geneb_jax.embed import load_model
from geneb_jax.errors import CheckpointError, GenebError, ModelError, SelectionError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.adapters import torch_tokens
from geneb_jax.models.adapters.remote_code import AllowedCode, own_code, parse_allowed_code
from geneb_jax.models.adapters.torch_adapter import TorchEncoder
from tests.hub_server import COMMIT, Hub, serve_as_the_hub
from tests.models.bert_checkpoints import write_tokenizer
from tests.tolerance import Tolerance, relative_error

SIZES: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 96,
    "pad_token_id": 3,
}
FORMS: dict[str, tuple[type[Any], type[Any], dict[str, Any]]] = {
    "bert": (BertConfig, BertModel, {}),
    "esm": (EsmConfig, EsmModel, {"position_embedding_type": "rotary", "mask_token_id": 4}),
    "llama": (LlamaConfig, LlamaModel, {"bos_token_id": 1, "eos_token_id": 2}),
    "roformer": (RoFormerConfig, RoFormerModel, {"embedding_size": 32}),
    "electra": (ElectraConfig, ElectraModel, {"embedding_size": 32}),
}
TEXTS = ["ACGTTGCANNACGT", "GATTACA" * 9, "", "N" * 20, "acgtACGT", "TTGACCGATA" * 90, "A"]


def write_folder(kind: str, folder: Path) -> Path:
    torch.manual_seed(0)
    config_class, model_class, extra = FORMS[kind]
    model = model_class(config_class(**SIZES | extra)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if kind == "esm":  # its native family reads words, not a tokenizer.json
        bases = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "A", "C", "G", "T", "N"]
        (folder / "vocab.txt").write_text("\n".join(bases + [f"<{i}>" for i in range(4086)]))
        names = {"cls": "[CLS]", "eos": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}
        settings = {f"{name}_token": text for name, text in names.items()}
        (folder / "tokenizer_config.json").write_text(
            json.dumps(settings | {"tokenizer_class": "EsmTokenizer", "model_max_length": 96})
        )
        return folder
    write_tokenizer("dnabert2-no-flashattention", folder)
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}'
    )
    return folder


@pytest.mark.parametrize("kind", ["bert", "esm", "llama", "roformer"])
def test_native_family_and_adapter_agree(kind: str, tmp_path: Path, tolerance: Tolerance) -> None:
    folder = write_folder(kind, tmp_path / kind)
    native, adapted = load_model(folder), load_model(f"torch:{folder}")
    assert native.encoder.identity != adapted.encoder.identity
    assert adapted.encoder.identity.model_id == f"torch:{kind}"
    assert adapted.encoder.parameter_count is not None
    for options in ({}, {"pooling": "cls"}, {"pooling": "last", "layer": 1}, {"layer": 0}):
        ours, theirs = (model.embed(TEXTS, **options) for model in (native, adapted))
        assert theirs.dtype == np.float32
        error = relative_error(ours, theirs)
        assert error <= tolerance("pooled_embedding", "float32"), options


def test_an_architecture_that_is_not_native(tmp_path: Path, tolerance: Tolerance) -> None:
    folder = write_folder("electra", tmp_path / "electra")
    with pytest.raises(CheckpointError, match=r"unknown architecture.*-m torch:FOLDER"):
        load_encoder(folder)
    encoder = load_encoder(f"torch:{folder}")
    assert isinstance(encoder, TorchEncoder)
    rows = encoder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), 32) == (len(TEXTS), encoder.width)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert relative_error(rows, alone) <= tolerance("batch_invariance", "float32")
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = encoder.embed([TEXTS[at] for at in order])
    assert relative_error(shuffled, rows[order]) <= tolerance("batch_invariance", "float32")
    reference = AutoModel.from_pretrained(folder).eval()
    ids = torch.tensor([[1, 5, 6, 7, 2]])
    with torch.no_grad():
        expected = reference(ids).last_hidden_state.mean(1).numpy()
    error = relative_error(encoder.embed(["A C G"]), expected)
    assert error <= tolerance("pooled_embedding", "float32")


def test_random_weights_and_dtype(tmp_path: Path) -> None:
    folder = write_folder("electra", tmp_path / "electra")
    (folder / "model.safetensors").unlink()
    first, again, other = (
        load_encoder(f"torch:{folder}", LoadOptions(weights="random", seed=seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.embed(TEXTS), again.embed(TEXTS))
    assert np.abs(first.embed(TEXTS) - other.embed(TEXTS)).max() > 0.01
    assert (first.identity.weights, other.identity.weights) == ("random:0", "random:1")
    half = load_encoder(f"torch:{folder}", LoadOptions(weights="random", dtype="bfloat16"))
    assert half.embed(TEXTS).dtype == np.float32
    assert half.identity.dtype == "bfloat16"


def test_a_hub_snapshot_is_called_by_its_repository_and_commit(tmp_path: Path) -> None:
    place = tmp_path / "models--org--electra" / "snapshots" / COMMIT
    (tmp_path / "link").symlink_to(write_folder("electra", place))
    identity = load_encoder(f"torch:{tmp_path / 'link'}").identity
    assert (identity.model_id, identity.revision) == ("torch:org/electra", COMMIT)


@pytest.mark.fault("F36")
def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    folder = write_folder("bert", tmp_path / "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="there are no safetensors"):
        load_encoder(f"torch:{folder}")


@pytest.mark.fault("F10")
def test_weights_that_would_stay_random_are_refused(tmp_path: Path) -> None:
    folder = write_folder("bert", tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"encoder\.layer\.2\."):
        load_encoder(f"torch:{folder}")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"pooling": "median"}, SelectionError),
        ({"layer": 7}, SelectionError),
        ({"path": "elsewhere"}, SelectionError),
    ],
)
def test_options_are_checked(
    options: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    folder = write_folder("bert", tmp_path / "bert")
    with pytest.raises(error):
        load_encoder(f"torch:{folder}", LoadOptions(**options))


def test_what_transformers_cannot_load_is_one_error(tmp_path: Path) -> None:
    folder = write_folder("bert", tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "no-such-model"}))
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load_encoder(f"torch:{folder}")


CANARY = """
from pathlib import Path

Path({mark!r}).write_text("it ran")

from transformers import BertConfig, BertModel


class CanaryConfig(BertConfig):
    model_type = "canary"


class CanaryModel(BertModel):
    config_class = CanaryConfig
"""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the canary's code leaves behind when it runs."""
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "mark"


def canary(folder: Path, mark: Path, *, where: str = "config.json") -> Path:
    write_folder("bert", folder)
    (folder / "modeling_canary.py").write_text(CANARY.format(mark=str(mark)))
    file = folder / where
    content = json.loads(file.read_text())
    if where == "config.json":
        content["model_type"] = "canary"
        references: Any = {
            "AutoConfig": "modeling_canary.CanaryConfig",
            "AutoModel": "modeling_canary.CanaryModel",
        }
    else:
        references = {"AutoTokenizer": ["modeling_canary.CanaryTokenizer", None]}
    file.write_text(json.dumps(content | {"auto_map": references}))
    return folder


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("prefix", ["torch:", ""])
@pytest.mark.fault("F37")
def test_code_of_a_folder_does_not_run_unasked(
    where: str, prefix: str, tmp_path: Path, mark: Path
) -> None:
    folder = canary(tmp_path / "canary", mark, where=where)
    assert own_code(folder)
    if prefix:
        with pytest.raises(CheckpointError, match=r"none of it was run.*--allow-remote-code"):
            load_encoder(f"{prefix}{folder}")
    elif where == "config.json":
        with pytest.raises(CheckpointError, match="unknown architecture"):
            load_encoder(str(folder))
    else:  # native families never look at the tokenizer's code
        load_encoder(str(folder))
    assert not mark.exists()


def test_code_of_a_folder_runs_when_that_folder_is_allowed(
    tmp_path: Path, mark: Path, tolerance: Tolerance
) -> None:
    folder = canary(tmp_path / "canary", mark)
    other = write_folder("bert", tmp_path / "other")
    with pytest.raises(CheckpointError, match="none of it was run"):
        load_encoder(f"torch:{folder}", LoadOptions(allow_remote_code=str(other)))
    assert not mark.exists()
    encoder = load_encoder(f"torch:{folder}", LoadOptions(allow_remote_code=str(folder)))
    assert mark.read_text() == "it ran"
    plain = load_encoder(f"torch:{other}")
    np.testing.assert_allclose(
        encoder.embed(TEXTS), plain.embed(TEXTS), rtol=0, atol=tolerance("torch_adapter", "float32")
    )
    assert encoder.identity.code != plain.identity.code


@pytest.fixture
def hub(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """org/canary with code of its own, org/borrower with that of another repository."""
    files = {f.name: f.read_bytes() for f in canary(tmp_path / "files", mark).iterdir()}
    config = json.loads(files["config.json"])
    config["auto_map"] = {name: f"org/canary--{ref}" for name, ref in config["auto_map"].items()}
    repositories = {
        "org/canary": files,
        "org/borrower": files | {"config.json": json.dumps(config).encode()},
    }
    with serve_as_the_hub(Hub(repositories), tmp_path / "hub-cache", monkeypatch) as server:
        yield server


@pytest.mark.fault("F37")
def test_code_of_a_repository_runs_at_the_allowed_commit_alone(hub: Hub, mark: Path) -> None:
    with pytest.raises(CheckpointError, match=f"--allow-remote-code org/canary@{COMMIT}"):
        load_encoder("torch:org/canary")
    with pytest.raises(CheckpointError, match="none of it was run"):
        load_encoder("torch:org/canary", LoadOptions(allow_remote_code=f"org/other@{COMMIT}"))
    with pytest.raises(CheckpointError, match="comes from another repository"):
        load_encoder("torch:org/borrower", LoadOptions(allow_remote_code=f"org/borrower@{COMMIT}"))
    assert not mark.exists()
    encoder = load_encoder(
        "torch:org/canary", LoadOptions(allow_remote_code=f"org/canary@{COMMIT}")
    )
    assert mark.read_text() == "it ran"
    assert (encoder.identity.model_id, encoder.identity.revision) == ("torch:org/canary", COMMIT)


@pytest.mark.parametrize("text", ["org/model", "org/model@main", f"org/model@{'a' * 39}", "@", ""])
@pytest.mark.fault("F37")
def test_a_permission_names_a_commit(text: str) -> None:
    with pytest.raises(SelectionError, match="all 40 characters of the commit"):
        parse_allowed_code(text)
    assert parse_allowed_code(f"org/model@{COMMIT}") == AllowedCode("org/model", COMMIT)


def test_native_models_take_no_permission() -> None:
    with pytest.raises(SelectionError, match="torch adapter only"):
        load_encoder("kmer-2", LoadOptions(allow_remote_code=f"org/model@{COMMIT}"))


def test_the_modules_import_neither_torch_nor_transformers() -> None:
    ours = "torch_adapter", "torch_encoder", "torch_opening", "torch_tokens", "torch_batches"
    modules = *ours, "object_adapter", "choice", "remote_code", "user_file"
    lines = [f"import geneb_jax.models.adapters.{name}" for name in modules]
    check = "import sys; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, check])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["bert", "llama"])
@pytest.mark.fault("F66")
def test_f66_company_changes_no_bit(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(f"torch:{write_folder(kind, tmp_path)}")
    assert isinstance(encoder, TorchEncoder)
    random = np.random.RandomState(0)
    texts = ["".join(random.choice(list("ACGT"), size=n)) for n in random.randint(1, 400, 40)]
    together = encoder.embed(texts)
    alone = np.concatenate([encoder.embed([text]) for text in texts])
    assert together.tobytes() == alone.tobytes()
    assert encoder.embed(texts[::-3]).tobytes() == together[::-3].tobytes()


def test_a_tokenizer_gets_few_letters_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of a whole shard of long sequences, as a tokenizer keeps them, take gigabytes."""
    tokenizer = AutoTokenizer.from_pretrained(write_folder("bert", tmp_path))
    asked: list[int] = []

    class Watched:
        is_fast, unk_token_id, truncation_side = True, 5, "right"

        def __call__(self, texts: Any, **options: Any) -> Any:
            if isinstance(texts, list):
                asked.append(sum(map(len, texts)) if len(texts) > 1 else 0)
            return tokenizer(texts, **options)

    monkeypatch.setattr(torch_tokens, "_LETTERS_AT_A_TIME", 30)
    tokens = torch_tokens.TorchTokens(Watched(), 12)
    expected = [tokenizer(text, truncation=True, max_length=12)["input_ids"] for text in TEXTS]
    assert tokens.ids(TEXTS) == expected
    counts = tokens.counts_of(TEXTS)
    assert counts.tokens.tolist() == [len(ids) for ids in expected]
    assert counts.unknown_bp.tolist() == [2, 0, 0, 20, 4, 0, 0]
    assert counts.unknown_tokens is not None
    assert counts.unknown_tokens.tolist() == [ids.count(5) for ids in expected]
    cut = [len(tokenizer(text)["input_ids"]) > 12 for text in TEXTS]
    assert (counts.cut_bp > 0).tolist() == cut and any(cut)
    assert len(asked) > 8 and max(asked) <= 30
    assert tokens.ids([]) == [] and tokens.counts_of([]).tokens.tolist() == []


@pytest.mark.parametrize("pooling", ["max", "cls+normalize", "mean+normalize", "max+normalize"])
def test_every_pooling_of_the_native_families(
    pooling: str, tmp_path: Path, tolerance: Tolerance
) -> None:
    folder, texts = write_folder("bert", tmp_path), [text for text in TEXTS if text]
    options = LoadOptions(pooling=pooling)
    ours = load_encoder(f"torch:{folder}", options)
    assert isinstance(ours, TorchEncoder)
    native = load_model(str(folder)).embed(texts, pooling=pooling)
    error = relative_error(ours.embed(texts), np.asarray(native))
    assert error <= tolerance("pooled_embedding", "float32")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", "abc"),
        ("hidden_size", None),
        ("num_attention_heads", 0),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", -1),
        ("model_type", ["bert"]),
        ("layer_norm_eps", "x"),
        ("pad_token_id", 10**6),
        ("auto_map", 5),
        ("auto_map", {"AutoModel": 5}),
        ("is_encoder_decoder", True),
        ("rope_parameters", 5),
        ("transformers_weights", 5),
        ("quantization_config", 5),
    ],
)
@pytest.mark.fault("F73")
def test_values_of_no_use_are_one_error(key: str, value: object, tmp_path: Path) -> None:
    folder = write_folder("bert", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(GenebError) as caught:
        load_encoder(f"torch:{folder}")
    assert "\n" not in caught.value.what


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"a":1}'])
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors",
             "adapter_config.json"]
)  # fmt: skip
@pytest.mark.fault("F75")
def test_damaged_files_are_one_error(name: str, content: bytes, tmp_path: Path) -> None:
    folder = write_folder("bert", tmp_path)
    (folder / name).write_bytes(content)
    try:
        load_encoder(f"torch:{folder}")
    except GenebError as error:
        assert "\n" not in error.what
    else:
        assert name in ("tokenizer_config.json",)


@pytest.mark.parametrize("place", ["sub/x.safetensors", ".x.safetensors"])
def test_weights_that_the_key_would_miss_are_refused(place: str, tmp_path: Path) -> None:
    """transformers follows the names in an index into folders, and to hidden files."""
    folder = write_folder("bert", tmp_path)
    weights = folder / "model.safetensors"
    (folder / place).parent.mkdir(exist_ok=True)
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(weights), place)}
    weights.rename(folder / place)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "x.safetensors").write_bytes((folder / place).read_bytes())
    with pytest.raises(CheckpointError, match="outside of what is hashed"):
        load_encoder(f"torch:{folder}")
    (folder / "model.safetensors.index.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": place}))
    with pytest.raises(CheckpointError, match="outside of what is hashed"):
        load_encoder(f"torch:{folder}")


def test_a_weight_file_that_the_config_names_is_in_the_key(tmp_path: Path) -> None:
    """And native families refuse the key, which transformers puts before all usual names."""
    folder = write_folder("bert", tmp_path)
    plain = load_encoder(f"torch:{folder}")
    assert isinstance(plain, TorchEncoder)
    doubled = {name: 2 * tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(doubled, folder / "other.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    text = json.dumps(config | {"transformers_weights": "other.safetensors"})
    (folder / "config.json").write_text(text)
    other = load_encoder(f"torch:{folder}")
    assert isinstance(other, TorchEncoder)
    assert other.identity != plain.identity
    assert not np.array_equal(plain.embed(TEXTS), other.embed(TEXTS))
    with pytest.raises(CheckpointError, match="transformers_weights"):
        load_encoder(folder)
