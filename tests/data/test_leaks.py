"""Exact repeats, reverse complements and near repeats, against brute force over all pairs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binom

from geneb_jax.benchmark import load_suite
from geneb_jax.cli.main import command
from geneb_jax.data import LeakKind, TaskSource, find_leaks, read_task
from geneb_jax.data.near_repeats import near_repeats, reverse_complement

LETTERS = np.array(list("ACGT"))
#: The promise of the search, in the share of planted copies and of finds.
RECALL = PRECISION = 0.99


def random_rows(rng: np.random.Generator, rows: int, bp: int) -> list[str]:
    return ["".join(row) for row in LETTERS[rng.integers(0, 4, (rows, bp))]]


def substituted(text: str, places: np.ndarray, rng: np.random.Generator) -> str:
    letters = np.array(list(text))
    codes = np.searchsorted(LETTERS, letters[places])
    letters[places] = LETTERS[(codes + rng.integers(1, 4, len(codes))) % 4]
    return "".join(letters)


def with_indels(text: str, rate: float, rng: np.random.Generator) -> str:
    """Each letter changed, doubled up with a random one, or dropped, at a third of the rate."""
    kind = np.where(rng.random(len(text)) < rate, rng.integers(1, 4, len(text)), 0)
    changed = substituted(text, np.flatnonzero(kind == 1), rng)
    extra = LETTERS[rng.integers(0, 4, len(text))]
    return "".join(
        "" if k == 2 else letter + more if k == 3 else letter
        for letter, more, k in zip(changed, extra, kind, strict=True)
    )


def planted(
    rows: int, bp: int, copy: Callable[[str, np.random.Generator], str], seed: int = 0
) -> tuple[list[str], list[str], np.ndarray]:
    """Random rows, a fifth of them test rows, a quarter of those copies; half on the other strand.

    Returns:
        Train, test, and bool ``[test]``: whether it was planted.
    """
    rng = np.random.default_rng(seed)
    train, test = random_rows(rng, rows - rows // 5, bp), random_rows(rng, rows // 5, bp)
    truth = np.zeros(len(test), bool)
    for number, place in enumerate(rng.permutation(len(test))[: len(test) // 4].tolist()):
        text = copy(train[rng.integers(len(train))], rng)
        test[place] = reverse_complement(text) if number % 2 else text
        truth[place] = True
    return train, test, truth


def five_percent(text: str, rng: np.random.Generator) -> str:
    return substituted(text, rng.choice(len(text), round(0.05 * len(text)), replace=False), rng)


def at_a_rate_of_five_percent(text: str, rng: np.random.Generator) -> str:
    return substituted(text, np.flatnonzero(rng.random(len(text)) < 0.05), rng)


COPIES: dict[str, Callable[[str, np.random.Generator], str]] = {
    "exactly 5%": five_percent,
    "a rate of 5%": at_a_rate_of_five_percent,
    "insertions too": lambda text, rng: with_indels(text, 0.05, rng),
    "as it is": lambda text, rng: text,
    "shifted by 10%": lambda text, rng: (
        text[len(text) // 10 :] + random_rows(rng, 1, len(text) // 10)[0]
    ),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("bp", [41, 200, 1000])
def test_planted_copies_are_found_and_nothing_else(bp: int, copy: Callable) -> None:
    rows = {41: 1500, 200: 5000, 1000: 3000}[bp]
    train, test, truth = planted(rows, bp, copy)
    kinds, identity = find_leaks(train, test)
    found = kinds > 0
    assert found[truth].mean() >= (0.97 if bp == 41 else RECALL - 1 / truth.sum())
    assert truth[found].mean() >= PRECISION
    assert np.isfinite(identity[found]).all() and np.isnan(identity[~found]).all()


def test_rows_less_alike_are_no_repeats() -> None:
    def distant(text: str, rng: np.random.Generator) -> str:
        return substituted(text, rng.choice(len(text), len(text) // 5, replace=False), rng)

    def half(text: str, rng: np.random.Generator) -> str:
        return text[: len(text) // 2] + random_rows(rng, 1, len(text) - len(text) // 2)[0]

    for copy in (distant, half):
        train, test, _ = planted(2000, 200, copy)
        assert not find_leaks(train, test)[0].any()


@pytest.mark.sweep
def test_two_hundred_thousand_rows_in_less_than_a_minute() -> None:
    def either(text: str, rng: np.random.Generator) -> str:
        kinds = (five_percent, at_a_rate_of_five_percent, lambda text, rng: text)
        return kinds[rng.integers(3)](text, rng)

    train, test, truth = planted(200_000, 200, either)
    started = time.process_time()
    found = find_leaks(train, test)[0] > 0
    seconds = time.process_time() - started
    assert found[truth].mean() >= RECALL
    assert truth[found].mean() >= PRECISION
    assert seconds < 60


def one_hot(texts: Sequence[str]) -> np.ndarray:
    """float32 ``[row, 4 * bp]``; letters other than A, C, G, T are nothing."""
    letters = np.array([list(text) for text in texts])
    hot: np.ndarray = (letters[:, :, None] == LETTERS).astype(np.float32)
    return hot.reshape(len(texts), -1)


def edit_distance(one: str, two: str) -> int:
    """Wagner and Fischer's table, row by row."""
    last = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(two, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b)))
        last = row
    return last[-1]


def test_real_promoters_against_every_pair(real_tasks: Path) -> None:
    """70 bp around transcription starts, with low-complexity rows and families of repeats."""
    task = next(t for t in load_suite("geneb").tasks if t.task_id.endswith("prom_core_tata"))
    table = read_task(task, TaskSource(real_tasks))
    train = sorted({text for text in table.train_sequences if len(text) == 70})
    test = sorted({text for text in table.test_sequences if len(text) == 70})
    bp = len(test[0])
    allowed = int(binom.ppf(0.995, bp, 0.05))
    matrix = one_hot(train).T
    alike = np.maximum(
        (one_hot(test) @ matrix).max(axis=1),
        (one_hot([reverse_complement(text) for text in test]) @ matrix).max(axis=1),
    )
    found = near_repeats(train, test)
    assert found.found[bp - alike <= allowed].mean() >= RECALL
    assert found.found.sum() > 30
    for row in np.flatnonzero(found.found).tolist():
        text = reverse_complement(test[row]) if found.reverse[row] else test[row]
        other = train[found.partner[row]]
        # Over the part both cover, so the whole may differ by the letters that stand over.
        over = 2 * (bp - int(np.ceil(0.8 * bp)))
        assert edit_distance(text, other) <= allowed + over


def test_kinds_go_from_the_very_text_to_nearly_one() -> None:
    rng = np.random.default_rng(3)
    texts = random_rows(rng, 6, 120)
    train = [*texts, "RRNA" * 10, ""]
    near = five_percent(texts[4], rng)
    test = [
        texts[0],
        reverse_complement(texts[1]),
        texts[2].lower(),
        texts[3].replace("T", "U"),
        near,
        "TNYY" * 10,
        random_rows(rng, 1, 120)[0],
        "",
        texts[0],
        "ACGT",
    ]
    kinds, identity = find_leaks(train, test)
    assert [LeakKind(kind).name for kind in kinds.tolist()] == [
        "EXACT", "REVERSE_COMPLEMENT", "NEAR", "NEAR", "NEAR", "REVERSE_COMPLEMENT", "NONE",
        "EXACT", "EXACT", "NONE",
    ]  # fmt: skip
    assert identity[4] == pytest.approx(1 - 6 / 120)
    assert identity[[0, 1, 2, 3, 5, 7, 8]].tolist() == [1.0] * 7


def test_a_family_of_repeats_hides_no_member() -> None:
    """Words that hundreds of rows share are cut short; each row's own words still find it."""
    rng = np.random.default_rng(5)
    ancestor = random_rows(rng, 1, 300)[0]
    family = [
        substituted(ancestor, np.flatnonzero(rng.random(300) < 0.15), rng) for _ in range(600)
    ]
    test = [at_a_rate_of_five_percent(text, rng) for text in family[:100]]
    strangers = [substituted(ancestor, rng.permutation(300)[:45], rng) for _ in range(100)]
    kinds, _ = find_leaks(family, [*test, *strangers])
    assert (kinds[:100] > 0).mean() >= RECALL
    assert not kinds[100:].any()


def test_data_leaks_counts_per_task_and_across(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "suite.toml").write_text(
        'name = "mine"\ntitle = "Mine"\n'
        'tasks = [{ id = "one", category = "A" }, { id = "two", category = "B" }]\n'
    )
    a, b = random_rows(rng, 40, 150), random_rows(rng, 40, 150)
    parts = {
        "one": (a[:30], [a[0], reverse_complement(a[1]), five_percent(a[2], rng), *a[30:]]),
        "two": (b[:30], [*b[30:], a[3], reverse_complement(a[4]), five_percent(a[5], rng)]),
    }
    for name, (train, test) in parts.items():
        rows = [(text, "train") for text in train] + [(text, "test") for text in test]
        lines = [f"{text},{k % 2},{split}" for k, (text, split) in enumerate(rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label,split", *lines, ""]))
    result = CliRunner().invoke(command, ["data", "leaks", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    one, two = json.loads(result.stdout)["tasks"]
    assert one == {
        "task_id": "one", "test_rows": 13, "exact": 1, "reverse_complement": 1, "near": 1,
        "near_identity_95": int(round(0.05 * 150) / 150 <= 0.05), "any": 3, "in_other_tasks": 0,
        "other_tasks": {},
    }  # fmt: skip
    assert (two["any"], two["in_other_tasks"], two["other_tasks"]) == (0, 2, {"one": 2})
    table = CliRunner().invoke(command, ["data", "leaks", str(tmp_path)])
    assert table.exit_code == 0
    assert "1 of 2 tasks have test rows" in table.stderr


def test_rows_below_24_bp_have_no_near_repeats() -> None:
    found = near_repeats(["ACGTACGTACGTACGTACGTACG"], ["ACGTACGTACGTACGTACGTACG", ""])
    assert not found.found.any()
