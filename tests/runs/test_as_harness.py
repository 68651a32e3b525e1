"""``--as-harness``: an extractor's own rows of a split, against scikit-learn on those rows."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from geneb_jax.cli.main import command
from geneb_jax.errors import ConfigError, GenebError, SelectionError
from geneb_jax.models.adapters.user_file import construct
from geneb_jax.runs import run
from geneb_jax.runs.harness_order import split_digests

HERE = Path(__file__).parent / "extractors"
MODULES = (
    "MaskedMean", "PaddedMean", "BatchNorm", "SortedUnrestored", "Carried", "Remembering",
    "HalfPrecision", "Lists", "Tensors", "FirstOfBatch", "SplitCentred", "Deduplicated",
)  # fmt: skip
#: Those whose rows are not a function of the sequence.
DEPENDENT = {
    "PaddedMean", "BatchNorm", "SortedUnrestored", "Carried", "Remembering", "FirstOfBatch",
    "SplitCentred", "Deduplicated",
}  # fmt: skip


#: Those that show it on the first call and this very row.
SHOWN = DEPENDENT - {"Remembering", "Deduplicated"}


#: All of them in the sweep; by default one that masks, two that depend on their batch or on what
#: came before, and one of another dtype.
_BY_DEFAULT = {"MaskedMean", "PaddedMean", "Carried", "HalfPrecision"}
CHOSEN = [
    pytest.param(name, marks=() if name in _BY_DEFAULT else pytest.mark.sweep) for name in MODULES
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks of sequences of unlike lengths, some of them twice, with a signal to learn."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "suite.toml").write_text(
        'name = "harness"\ntitle = "Harness"\n'
        'tasks = [{ id = "two", category = "A" }, { id = "three", category = "B" }]\n'
    )
    for seed, (name, classes) in enumerate((("two", 2), ("three", 3))):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.full(4, 9.0), classes)
        lines = ["text,label,split"]
        for split, count in (("train", 130), ("test", 70)):
            rows = []
            for _ in range(count):
                label = int(rng.integers(classes))
                size = int(rng.integers(20, 90))
                rows.append(f"{''.join(rng.choice(list('ACGT'), size, p=shares[label]))},{label}")
            rows += rows[3:9]
            lines += [f"{row},{split}" for row in rows]
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]))
    return folder


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """The extractors in a folder of their own."""
    return Path(shutil.copytree(HERE, tmp_path / "extractors")) / "modules.py"


def parts(file: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {
        split: (
            [row["text"] for row in rows if row["split"] == split],
            np.array([int(row["label"]) for row in rows if row["split"] == split]),
        )
        for split in ("train", "test")
    }


def own_rows(result: object) -> np.ndarray:
    if hasattr(result, "detach"):
        result = result.detach().float().numpy()
    return np.asarray(result).astype(np.float64)


def expected(extractor: object, suite: Path, batch: int) -> dict[str, tuple[float, float, float]]:
    """What the harness's loop gives: one extractor, task after task, train then test."""
    found = {}
    for task in ("two", "three"):
        split = parts(suite / f"{task}.csv")
        X = {name: own_rows(extractor.extract_embeddings(split[name][0], batch)) for name in split}
        guess = LogisticRegression(max_iter=1000).fit(X["train"], split["train"][1])
        y, predicted = split["test"][1], guess.predict(X["test"])
        found[task] = (
            matthews_corrcoef(y, predicted),
            accuracy_score(y, predicted),
            f1_score(y, predicted, average="macro"),
        )
    return found


@pytest.mark.parametrize("name", CHOSEN)
def test_scores_are_scikit_learns_on_the_extractors_own_rows(
    name: str, suite: Path, modules: Path, tmp_path: Path
) -> None:
    batch = 8 if name in DEPENDENT else 3
    outcome = run(
        f"{modules}:{name}", suite=suite, regimes=("full",), as_harness=True, batch_size=batch,
        out=tmp_path / "out", store=tmp_path / "store",
    )  # fmt: skip
    assert outcome.complete
    assert {row.model_id for row in outcome.rows} == {f"modules.{name} as harness, batch {batch}"}
    theirs = expected(construct(modules, name, name_model=None), suite, batch)
    assert len(outcome.rows) == 2 * 5
    for row in outcome.rows:
        ours = (row.mcc, row.accuracy, row.macro_f1)
        assert np.round(ours, 4).tolist() == np.round(theirs[row.task_id], 4).tolist()
    alone = construct(modules, name, name_model=None)
    texts = parts(suite / "two.csv")["test"][0]
    together = own_rows(alone.extract_embeddings(texts, batch))
    one = own_rows(construct(modules, name, name_model=None).extract_embeddings(texts[5:6], 1))[0]
    assert (np.abs(together[5] - one).max() > 1e-3 * np.abs(one).max()) == (name in SHOWN)


@pytest.mark.parametrize("name", CHOSEN)
def test_every_module_runs_unchanged_without_it(
    name: str, suite: Path, modules: Path, tmp_path: Path
) -> None:
    outcome = run(
        f"{modules}:{name}", suite=suite, tasks=("two",), regimes=("full",), out=tmp_path / "out",
        store=tmp_path / "store",
    )  # fmt: skip
    assert outcome.complete
    assert {row.model_id for row in outcome.rows} == {f"modules.{name}"}


def test_ways_of_calling_it_stand_beside_each_other_and_share_no_row(
    suite: Path, modules: Path, tmp_path: Path
) -> None:
    places = {"suite": suite, "out": tmp_path / "out", "store": tmp_path / "store"}
    places["regimes"] = ("full",)
    model = f"{modules}:PaddedMean"
    run(model, **places)
    run(model, as_harness=True, **places)
    last = run(model, as_harness=True, batch_size=2, **places)
    assert len({row.identity for row in last.rows}) == 3
    assert sorted({row.model_id for row in last.rows}) == [
        "modules.PaddedMean",
        "modules.PaddedMean as harness, batch 2",
        "modules.PaddedMean as harness, batch 8",
    ]
    full = {
        row.identity: row.mcc
        for row in last.rows
        if (row.task_id, row.regime, row.seed) == ("two", "full", 13)
    }
    assert len(set(full.values())) > 1


def test_what_is_stored_is_not_extracted_again(
    suite: Path, modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geneb_jax.models.adapters.harness_encoder import HarnessEncoder

    calls: list[int] = []
    original = HarnessEncoder.split_rows

    def counted(self: HarnessEncoder, sequences: list[str]) -> np.ndarray:
        calls.append(len(sequences))
        return original(self, sequences)

    monkeypatch.setattr(HarnessEncoder, "split_rows", counted)
    model, store = f"{modules}:BatchNorm", tmp_path / "store"
    first = run(
        model, suite=suite, regimes=("full",), as_harness=True, out=tmp_path / "a", store=store
    )
    assert calls == [136, 76, 136, 76]
    again = run(
        model, suite=suite, regimes=("full",), as_harness=True, out=tmp_path / "a", store=store
    )
    other = run(
        model,
        suite=suite,
        regimes=("full",),
        as_harness=True,
        out=tmp_path / "b",
        store=store,
        C=(1.0, 10.0),
    )
    assert calls == [136, 76, 136, 76]
    assert again.run.models[first.labels[0]].units_reused == 2
    assert {row.mcc for row in first.rows} <= {row.mcc for row in other.rows}
    # Another content of a file is another split; the other task's rows are still found.
    changed = tmp_path / "changed"
    shutil.copytree(suite, changed)
    lines = (changed / "two.csv").read_text().splitlines()
    (changed / "two.csv").write_text("\n".join([lines[0], *lines[2:], lines[1], ""]))
    run(model, suite=changed, regimes=("full",), as_harness=True, out=tmp_path / "c", store=store)
    assert calls == [136, 76, 136, 76, 136, 76]


def test_damaged_rows_bring_their_whole_split_back(
    suite: Path, modules: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    model = f"{modules}:PaddedMean"
    first = run(
        model, suite=suite, regimes=("full",), as_harness=True, out=tmp_path / "a", store=store
    )
    rows = [path for path in store.rglob("*") if path.is_file() and path.stat().st_size > 4000]
    largest = max(rows, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)
    again = run(
        model, suite=suite, regimes=("full",), as_harness=True, out=tmp_path / "b", store=store
    )
    assert [row.mcc for row in again.rows] == [row.mcc for row in first.rows]


def test_keys_are_of_the_place_in_the_file() -> None:
    keys = split_digests("f" * 64, "train", 5)
    assert keys.shape == (5, 16)
    assert len({bytes(key) for key in keys}) == 5
    assert not np.array_equal(keys, split_digests("f" * 64, "test", 5))
    assert not np.array_equal(keys, split_digests("e" * 64, "train", 5))
    assert np.array_equal(keys[:3], split_digests("f" * 64, "train", 3))


@pytest.mark.parametrize("model", ["kmer-2", "tiny-nt-v1", "torch:somewhere"])
def test_other_models_are_refused(model: str, suite: Path, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="cannot run as in the harness") as caught:
        run(model, suite=suite, as_harness=True, out=tmp_path / "out", store=tmp_path / "store")
    assert "path" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_batch_size_needs_the_harness(suite: Path, modules: Path, tmp_path: Path) -> None:
    for options in ({"batch_size": 4}, {"as_harness": True, "batch_tokens": 64}):
        with pytest.raises(ConfigError, match="--batch-size"):
            run(f"{modules}:Lists", suite=suite, out=tmp_path / "out", **options)
    with pytest.raises(GenebError, match="pooling by itself"):
        run(f"{modules}:Lists", suite=suite, out=tmp_path / "o", as_harness=True, pooling="cls")


def test_embed_plan_and_probe_follow(suite: Path, modules: Path, tmp_path: Path) -> None:
    def invoke(verb: str) -> str:
        result = CliRunner().invoke(
            command,
            [verb, "-m", f"{modules}:Carried", "--suite", str(suite), "--as-harness",
             "--batch-size", "4", "--store", str(tmp_path / "store"),
             "--out", str(tmp_path / "out")],
            standalone_mode=False,
        )  # fmt: skip
        assert result.exception is None, result.exception
        return result.stdout

    assert "\t424\t" in invoke("plan")
    assert "\t424\t0\t" in invoke("embed")
    assert "\t0\t" in invoke("plan")
    invoke("probe")
    assert (tmp_path / "out" / "scores.csv").is_file()
