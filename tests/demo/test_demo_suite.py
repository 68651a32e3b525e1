"""The demo suite: shipped as drawn, documented, simulated by name, and as its texts describe it."""

from __future__ import annotations

import csv
import gzip
import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from geneb_jax.benchmark import load_suite
from geneb_jax.data.demo_tasks import DEMO_TASKS, DemoTask, demo_task_csv, write_demo_suite
from tests.tolerance import Tolerance

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "demo-suite.md"


@cache
def _task(task_id: str) -> tuple[DemoTask, list[str], np.ndarray, np.ndarray]:
    """The task, its texts, labels and which rows are train, as shipped."""
    folder = load_suite("demo").folder
    assert folder is not None
    content = gzip.decompress((folder / f"{task_id}.csv.gz").read_bytes()).decode("ascii")
    rows = list(csv.DictReader(io.StringIO(content)))
    task = next(task for task in DEMO_TASKS if task.task_id == task_id)
    labels = np.array([int(row["label"]) for row in rows])
    train = np.array([row["split"] == "train" for row in rows])
    return task, [row["text"] for row in rows], labels, train


@cache
def _kmer_mcc(task_id: str, k: int) -> float:
    """MCC of the protocol's probe on k-mer frequencies, by scikit-learn alone."""
    _, texts, labels, train = _task(task_id)
    counter = CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False)
    counts = counter.fit_transform(texts).toarray().astype(np.float64)
    features = counts / counts.sum(axis=1, keepdims=True)
    fitted = LogisticRegression(max_iter=1000).fit(features[train], labels[train])
    return float(matthews_corrcoef(labels[~train], fitted.predict(features[~train])))


all_tasks = pytest.mark.parametrize("task_id", [task.task_id for task in DEMO_TASKS])


def test_the_shipped_files_are_what_is_drawn(tmp_path: Path) -> None:
    folder = load_suite("demo").folder
    assert folder is not None
    written = write_demo_suite(tmp_path)
    assert {path.name for path in written} == {path.name for path in folder.iterdir()}
    for path in written:
        shipped = (folder / path.name).read_bytes()
        if path.suffix == ".gz":
            # Another zlib may pack the same rows in other bytes; no name and no time are in either.
            assert shipped[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
            assert path.read_bytes()[:10] == shipped[:10]
            assert gzip.decompress(path.read_bytes()) == gzip.decompress(shipped)
        else:
            assert path.read_bytes() == shipped


def test_drawing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in write_demo_suite(tmp_path / "a")}
    np.random.seed(5)
    second = {path.name: path.read_bytes() for path in write_demo_suite(tmp_path / "b")}
    assert first == second


def test_the_suite_has_genebs_categories_and_protocol_and_says_it_is_simulated() -> None:
    demo, geneb = load_suite("demo"), load_suite("geneb")
    assert demo.categories == geneb.categories
    assert len(demo.tasks) == 13
    assert demo.protocol == geneb.protocol
    assert demo.simulated
    assert demo.harness_version is None
    assert "simulated" in demo.title.lower()
    assert all(task.task_id.startswith("simulated_") for task in demo.tasks)
    assert not {task.task_id for task in demo.tasks} & {task.task_id for task in geneb.tasks}


def test_every_construction_is_documented() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    notes = load_suite("demo").notes
    for task in DEMO_TASKS:
        line = next(line for line in document.splitlines() if f"`{task.task_id}`" in line)
        assert line.startswith(f"| {task.category} |")
        assert len([note for note in notes if note.startswith(f"{task.task_id}: ")]) == 1
        assert len((task.build.__doc__ or "").split()) > 20


@all_tasks
def test_rows_are_plain_balanced_and_distinct(task_id: str) -> None:
    task, texts, labels, train = _task(task_id)
    assert 240 <= train.sum() <= 400
    assert 150 <= (~train).sum() <= 200
    assert train[: train.sum()].all()
    assert len(set(texts)) == len(texts)
    assert set("".join(texts)) == set("ACGT")
    assert all(60 <= len(text) <= 400 for text in texts)
    for part in (train, ~train):
        counts = np.bincount(labels[part], minlength=task.class_count)
        assert len(counts) == task.class_count
        assert np.ptp(counts) <= 1
    assert (np.diff(labels) != 0).sum() > len(labels) / 4


@all_tasks
def test_each_task_can_be_learnt_and_is_not_trivial(task_id: str) -> None:
    assert 0.2 <= _kmer_mcc(task_id, 4) <= 0.9
    assert _kmer_mcc(task_id, 6) != _kmer_mcc(task_id, 4)


def test_tasks_reward_different_things() -> None:
    gain = {
        task.task_id: _kmer_mcc(task.task_id, 6) - _kmer_mcc(task.task_id, 2) for task in DEMO_TASKS
    }
    assert sum(value > 0.2 for value in gain.values()) >= 4
    assert sum(value < -0.05 for value in gain.values()) >= 2


def test_a_shuffled_label_is_not_learnt() -> None:
    """The scale of chance: without the labels' link to the rows, nothing is left."""
    _, texts, labels, train = _task("simulated_phage_fragments")
    counter = CountVectorizer(analyzer="char", ngram_range=(4, 4), lowercase=False)
    counts = counter.fit_transform(texts).toarray().astype(np.float64)
    features = counts / counts.sum(axis=1, keepdims=True)
    shuffled = np.random.RandomState(0).permutation(labels)
    fitted = LogisticRegression(max_iter=1000).fit(features[train], shuffled[train])
    predicted = fitted.predict(features[~train])
    assert abs(matthews_corrcoef(shuffled[~train], predicted)) < 0.2


def _codes(texts: list[str]) -> np.ndarray:
    return np.array([list(text) for text in texts])


def test_promoters_have_their_boxes_in_place() -> None:
    _, texts, labels, _ = _task("simulated_promoters_tata")
    assert {len(text) for text in texts} == {100}

    def share(label: int) -> float:
        chosen = [text for text, y in zip(texts, labels, strict=True) if y == label]
        return float(np.mean(["TATAA" in text[28:39] or "TATAT" in text[28:39] for text in chosen]))

    assert share(1) > 0.6
    assert share(0) < share(1) / 3
    at_start = _codes([text for text, y in zip(texts, labels, strict=True) if y == 1])[:, 60]
    assert np.mean(at_start == "A") > 0.8


def test_splice_sites_keep_gt_and_ag_and_decoys_have_them_too() -> None:
    _, texts, labels, _ = _task("simulated_splice_sites")
    for text, label in zip(texts, labels, strict=True):
        if label == 1:
            assert text[50:52] == "GT"
        elif label == 2:
            assert text[48:50] == "AG"
        else:
            assert text[50:52] == "GT" or text[48:50] == "AG"
    acceptors = _codes([text for text, y in zip(texts, labels, strict=True) if y == 2])
    others = _codes([text for text, y in zip(texts, labels, strict=True) if y == 0])
    assert np.isin(acceptors[:, 33:47], ["C", "T"]).mean() > 0.65
    assert np.isin(others[:, 33:47], ["C", "T"]).mean() < 0.55


def test_coding_rows_have_a_frame_without_stops() -> None:
    _, texts, labels, _ = _task("simulated_coding_codons")

    def open_frame(text: str) -> bool:
        return any(
            not {"TAA", "TAG", "TGA"} & {text[at : at + 3] for at in range(frame, 298, 3)}
            for frame in range(3)
        )

    coding = [open_frame(text) for text, y in zip(texts, labels, strict=True) if y == 1]
    other = [open_frame(text) for text, y in zip(texts, labels, strict=True) if y == 0]
    assert all(coding)
    assert np.mean(other) < 0.2


def test_coding_and_frameless_rows_have_the_same_dinucleotides(tolerance: Tolerance) -> None:
    _, texts, labels, _ = _task("simulated_coding_codons")
    counter = CountVectorizer(analyzer="char", ngram_range=(2, 2), lowercase=False)
    counts = np.asarray(counter.fit_transform(texts).toarray(), dtype=np.float64)
    shares = [counts[labels == label].sum(axis=0) for label in (0, 1)]
    shares = [share / share.sum() for share in shares]
    # 240 rows of 299 pairs: three standard errors of a share near 1/16.
    assert np.abs(shares[0] - shares[1]).max() < 3 * np.sqrt(2 * (1 / 16) / (240 * 299))


def test_islands_keep_cpg_at_the_same_gc(tolerance: Tolerance) -> None:
    _, texts, labels, _ = _task("simulated_regulatory_cpg_islands")
    joined = [
        "".join(text for text, y in zip(texts, labels, strict=True) if y == label)
        for label in (0, 1)
    ]
    gc = [(text.count("G") + text.count("C")) / len(text) for text in joined]
    ratio = [text.count("CG") * len(text) / (text.count("C") * text.count("G")) for text in joined]
    assert abs(gc[0] - gc[1]) < tolerance("gc_of_islands", "share")
    assert 0.22 < ratio[0] < 0.28
    # 120 of 220 bases on average are island.
    assert 0.48 < ratio[1] < 0.58


def test_nucleosomes_have_a_period_of_ten_bases_and_linkers_none() -> None:
    _, texts, labels, _ = _task("simulated_histone_nucleosome_phasing")
    at = np.isin(_codes(texts), ["A", "T"]).astype(np.float64)
    power = np.abs(np.fft.rfft(at - at.mean(axis=1, keepdims=True), axis=1)) ** 2
    period_bp = 150 / np.arange(1, 76)
    mean = [power[labels == label].mean(axis=0)[1:] for label in (0, 1)]
    assert abs(period_bp[mean[1].argmax()] - 10.2) < 0.5
    assert mean[1].max() > 5 * np.median(mean[1])
    near = np.abs(period_bp - 10.2) < 0.5
    assert mean[0][near].max() < 2 * np.median(mean[0])


def test_joined_elements_are_joined_and_apart_ones_are_there() -> None:
    _, texts, labels, _ = _task("simulated_mouse_enhancers_oct_sox")
    words = ("CATTGTCATGCAAAT", "CATTGTTATGCAAAT")
    for label in (0, 1):
        chosen = [text for text, y in zip(texts, labels, strict=True) if y == label]
        joined = np.mean([any(word in text for word in words) for text in chosen])
        assert np.mean(["ATGCAAAT" in text for text in chosen]) > 0.5
        assert (joined > 0.3) if label == 1 else (joined == 0)


def test_rows_do_not_depend_on_the_other_tasks() -> None:
    task = DEMO_TASKS[-1]
    before = demo_task_csv(task)
    demo_task_csv(DEMO_TASKS[0])
    assert demo_task_csv(task) == before
