"""sentence-transformers folders against ``encode``; what is not built is refused by name."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, EsmTokenizer, PreTrainedTokenizerFast

from geneb_jax.embed import load_model
from geneb_jax.errors import CheckpointError
from geneb_jax.models import LoadOptions, load_encoder
from geneb_jax.models.sentence_folder import read_sentence_folder
from tests.fuzz.hostile_text import damaged
from tests.models.esm_checkpoints import esm_model
from tests.tolerance import Tolerance

_TOKENS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGTNacgt"]


def _network(folder: Path, *, kind: str = "bert") -> Path:
    """A small network with a letter tokenizer, as transformers saves it."""
    if kind == "esm":
        letters = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *"ACGTN"]
        esm_model(
            vocab_size=12,
            position_embedding_type="rotary",
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=40,
            architectures=["EsmModel"],
        ).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(letters))
        EsmTokenizer(str(folder / "vocab.txt"), model_max_length=100).save_pretrained(folder)
        return folder
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(_TOKENS),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=40,
        max_position_embeddings=200,
        pad_token_id=3,
    )
    BertModel(config).eval().save_pretrained(folder)
    vocabulary = {token: index for index, token in enumerate(_TOKENS)}
    library = Library(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    PreTrainedTokenizerFast(
        tokenizer_object=library,
        model_max_length=150,
        **{f"{name}_token": token for name, token in names.items()},
    ).save_pretrained(folder)
    return folder


def _saved(folder: Path, *, pooling: str = "cls", normalize: bool = True, **options: Any) -> Path:
    kind = options.pop("kind", "bert")
    network = Transformer(str(_network(folder / "network", kind=kind)), **options)
    modules: list[Any] = [network, Pooling(24, pooling_mode=pooling)]
    if normalize:
        modules.append(Normalize())
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


def _edit(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content | values))


#: Of two lengths in tokens, for two compiled programs; one longer than every limit.
_SEQUENCES = ["ACGTN" * 5, "acgttgcaNNACGTRYACGT", "", "A", "ACGTTGCATT" * 30, "ttgacaGG" * 30]


def _difference(folder: Path, sequences: list[str] = _SEQUENCES) -> float:
    """Largest difference from encode, relative to the largest number."""
    theirs = SentenceTransformer(str(folder), device="cpu").encode(sequences, batch_size=1)
    ours = np.asarray(load_model(str(folder)).embed(sequences))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize(
    ("pooling", "normalize", "limit"),
    [("cls", True, 64), ("mean", False, None), ("max", True, None), ("lasttoken", False, 64)],
)
def test_what_encode_gives(
    pooling: str,
    normalize: bool,
    limit: int | None,
    tmp_path: Path,
    tolerance: Tolerance,
) -> None:
    options = {} if limit is None else {"max_seq_length": limit}
    folder = _saved(tmp_path, pooling=pooling, normalize=normalize, **options)
    assert _difference(folder) <= tolerance("pooled_embedding", "float32")
    encoder = load_encoder(folder)
    assert len(encoder.tokenize("ACGT" * 100).ids) == (limit or 150)  # type: ignore[attr-defined]
    ours = {"lasttoken": "last"}.get(pooling, pooling)
    assert encoder.identity.pooling == ours + "+normalize" * normalize


def test_an_esm_network(tmp_path: Path, tolerance: Tolerance) -> None:
    folder = _saved(tmp_path, kind="esm", pooling="mean", max_seq_length=40)
    assert _difference(folder) <= tolerance("pooled_embedding", "float32")


def test_settings_of_older_versions(tmp_path: Path, tolerance: Tolerance) -> None:
    """Flags of the pooling, the Transformer in a folder of its own, its length and casing."""
    folder = _saved(tmp_path, pooling="mean", normalize=False)
    inner = folder / "0_Transformer"
    inner.mkdir()
    outer = ("modules.json", "config_sentence_transformers.json")
    for file in folder.glob("*"):
        if file.is_file() and file.name not in outer:
            file.rename(inner / file.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0] |= {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}
    modules[1] |= {"type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {"max_seq_length": 180, "do_lower_case": True}
    (inner / "sentence_bert_config.json").write_text(json.dumps(settings))
    flags = {"word_embedding_dimension": 24, "pooling_mode_cls_token": False}
    flags |= {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    assert _difference(folder) <= tolerance("pooled_embedding", "float32")
    encoder = load_encoder(folder)
    assert encoder.identity.model_id == "model"
    assert encoder.identity.pooling == "max"
    ids = [encoder.tokenize(text).ids.tolist() for text in ("ACGT", "acgt")]  # type: ignore[attr-defined]
    assert ids[0] == ids[1]
    assert len(encoder.tokenize("ACGT" * 100).ids) == 180  # type: ignore[attr-defined]


def test_another_pooling_is_used_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = _saved(tmp_path)
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(folder, LoadOptions(pooling="mean"))
    assert encoder.identity.pooling == "mean"
    assert "modules.json is cls+normalize" in caplog.text
    assert encoder.identity.digest != load_encoder(folder).identity.digest


def _change_modules(folder: Path, **module: Any) -> None:
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    modules[1] |= module
    path.write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]}, r"pooling cls \+ mean"),
        ("1_Pooling/config.json", {"pooling_mode": "weightedmean"}, "pooling weightedmean"),
        ("1_Pooling/config.json", {"pooling_mode": "mean_sqrt_len_tokens"}, "mean_sqrt_len"),
        ("1_Pooling/config.json", {"pooling_mode": 7}, "pooling_mode is 7"),
        ("1_Pooling/config.json", {"pooling_mode_own": True}, "pooling_mode_own"),
        ("2_Normalize/config.json", {"module_input_name": "token_embeddings"}, "module_input"),
        ("sentence_bert_config.json", {"max_seq_length": "64"}, "max_seq_length is '64'"),
        ("sentence_bert_config.json", {"query_expansion": {"size": 3}}, "query_expansion"),
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "truncate_dim"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "SparseEncoder"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": "find: "}, "default_prompt_name": "query"},
            "the prompt 'query'",
        ),
    ],
)
def test_what_is_not_built_is_refused(
    file: str, values: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = _saved(tmp_path)
    _edit(folder / file, **values)
    with pytest.raises(CheckpointError, match=reason):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ({"type": "sentence_transformers.models.CNN"}, "module CNN is not built"),
        ({"type": "own_code.Pooling"}, "own_code.Pooling is code of the model's own"),
        ({"path": "../other"}, "leaves the folder"),
        ({"path": "/etc"}, "leaves the folder"),
        ({"path": 3}, "without type or path"),
    ],
)
def test_other_modules_are_refused(module: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = _saved(tmp_path)
    _change_modules(folder, **module)
    with pytest.raises(CheckpointError, match=reason):
        load_encoder(folder)


def test_a_dense_layer_is_refused_by_name(tmp_path: Path) -> None:
    modules = [Transformer(str(_network(tmp_path / "network"))), Pooling(24), Dense(24, 8)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(tmp_path / "model"))
    with pytest.raises(CheckpointError, match="module Dense is not built"):
        load_encoder(tmp_path / "model")


def test_unused_prompts_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = _saved(tmp_path)
    _edit(folder / "config_sentence_transformers.json", prompts={"query": "find: "})
    with caplog.at_level(logging.WARNING):
        load_encoder(folder)
    assert "'query'" in caplog.text


_PACKAGE = "sentence_transformers.models"
_FILES = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": f"{_PACKAGE}.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
        {"idx": 2, "name": "2", "path": "2_Norm", "type": f"{_PACKAGE}.Normalize"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 24, "pooling_mode_cls_token": True},
    "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
    "config_sentence_transformers.json": {"prompts": {"query": ""}, "default_prompt_name": None},
}


@pytest.mark.parametrize("name", _FILES)
def test_damaged_modules_give_one_message(name: str, tmp_path: Path) -> None:
    for file, content in _FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content))
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for seed in range(200):
        (tmp_path / name).write_bytes(damaged(whole, np.random.default_rng(seed)))
        try:
            found = read_sentence_folder(tmp_path)
            assert found is not None
            assert found.network == tmp_path
        except CheckpointError as error:
            refused += 1
            assert "\n" not in error.message
    assert refused > 50
