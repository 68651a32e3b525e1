"""Every published model, with narrow layers and random weights, through three real tasks."""

from __future__ import annotations

import csv
import gzip
import importlib
import math
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import pytest

import geneb_jax
from geneb_jax.models import registry
from geneb_jax.results import read_scores
from geneb_jax.tokenizers import built_in_vocabulary
from tests.models import decoder_checkpoints, test_caduceus, test_eccdna_mamba, test_torch_adapter
from tests.models.bert_checkpoints import write_published_folder
from tests.models.esm_checkpoints import SMALL_ESM, esm_model, save
from tests.models.narrow_checkpoints import narrow_spec, write_narrow
from tests.models.state_space_checkpoints import spread_tensors

#: 40 bp, 220 to 275 bp, and 500 bp a sequence.
TASKS = ("iPro-WAEL_Promoter_B_amyloliquefaciens", "iDHS-EL_DNase_I", "leannmlindsey_GUE_emp_H4")
ROWS = {"train": 14, "test": 8}


@pytest.fixture(scope="session")
def three_tasks(real_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of each class and split."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in TASKS:
        with gzip.open(real_tasks / f"{task}.csv.gz", "rt", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        kept = [
            row
            for split, count in ROWS.items()
            for label in ("0", "1")
            for row in islice(
                (row for row in rows if (row["split"], row["label"]) == (split, label)), count // 2
            )
        ]
        assert len(kept) == sum(ROWS.values())
        with (folder / f"{task}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label", "split"])
            writer.writeheader()
            writer.writerows({name: row[name] for name in writer.fieldnames} for row in kept)
    return folder


def scores(three_tasks: Path, tmp_path: Path, *models: str | Path, **options: object) -> set[str]:
    """Run everything; the ids of the models, each of which has every score."""
    outcome = geneb_jax.run(
        models,
        data_dir=three_tasks,
        regimes=["full", "1shot"],
        seeds=[13, 17],
        out=tmp_path / "out",
        store=tmp_path / "store",
        offline=True,
        **options,
    )
    assert outcome.complete, outcome
    rows = read_scores(outcome.out)
    assert all(math.isfinite(row.mcc) for row in rows)
    found = {row.model_id for row in rows}
    assert {(row.model_id, row.task_id, row.regime, row.seed) for row in rows} == {
        (model, task, regime, seed)
        for model in found
        for task in TASKS
        for regime in ("full", "1shot")
        for seed in (13, 17)
    }
    return found


@pytest.mark.sweep
@pytest.mark.parametrize("model_id", registry())
def test_by_id_from_the_published_files(
    model_id: str, three_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = narrow_spec(model_id)
    folder = write_narrow(spec, tmp_path / "checkpoint")
    # By its path: the package's attribute of this name is the function.
    module = importlib.import_module("geneb_jax.models.registry")
    table = MappingProxyType({**registry(), model_id: spec})
    monkeypatch.setattr(module, "registry", lambda: table)
    assert scores(three_tasks, tmp_path, model_id, path=str(folder)) == {model_id}


def _esm(folder: Path) -> Path:
    save(esm_model(**SMALL_ESM), folder)
    (folder / "vocab.txt").write_text(built_in_vocabulary("nt-v2").text, encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"eos_token": null, "model_max_length": 100}')
    return folder


def _decoder(form: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        return decoder_checkpoints.save(form, decoder_checkpoints.torch_model(form), folder)

    return write


def _published(model_id: str) -> Callable[[Path], Path]:
    return lambda folder: write_published_folder(model_id, folder)


def _caduceus(folder: Path) -> Path:
    return test_caduceus.folder(folder, test_caduceus.small(rcps=True), rcps=True)


def _eccdna_mamba(folder: Path) -> Path:
    tensors = spread_tensors(test_eccdna_mamba.shapes(test_eccdna_mamba.SMALL))
    return test_eccdna_mamba.folder(folder, tensors)


#: A folder that says by itself what it is; the other families are published without a config.json.
FOLDERS: dict[str, Callable[[Path], Path]] = {
    "esm": _esm,
    "bert": _published("gena-lm-bert-base"),
    "mosaic_bert": _published("DNABERT-S"),
    "mutbert": _published("MutBERT"),
    "lucaone": _published("LucaOne-default-step36M"),
    "llama": _decoder("generator"),
    "mistral": _decoder("biofm"),
    "olmo": _decoder("omni-dna"),
    "gpt2": _decoder("gpt2"),
    "caduceus": _caduceus,
    "eccdna_mamba": _eccdna_mamba,
}


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=() if family == "esm" else pytest.mark.sweep)
        for family in FOLDERS
    ],
)
def test_by_folder_alone(family: str, three_tasks: Path, tmp_path: Path) -> None:
    folder = FOLDERS[family](tmp_path / "my-model")
    assert scores(three_tasks, tmp_path, folder) == {"my-model"}


@pytest.mark.parametrize("kind", ["bert", pytest.param("llama", marks=pytest.mark.sweep)])
def test_the_torch_adapter_beside_the_native_family(
    kind: str, three_tasks: Path, tmp_path: Path
) -> None:
    folder = test_torch_adapter.write_folder(kind, tmp_path / kind)
    found = scores(three_tasks, tmp_path, folder, f"torch:{folder}")
    assert found == {kind, f"torch:{kind}"}
    full = {
        (row.model_id, row.task_id): row.mcc
        for row in read_scores(tmp_path / "out")
        if row.regime == "full"
    }
    # The same embeddings to rounding: of eight test rows at most one may sit on the boundary.
    for task in TASKS:
        assert abs(full[kind, task] - full[f"torch:{kind}", task]) <= 0.3
