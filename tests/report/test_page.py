"""report.html as bytes: self-contained, small, the same each time, and deaf to hostile names."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest

from geneb_jax.analysis import build_panel, compare_models, reference_cube
from geneb_jax.benchmark import load_suite
from geneb_jax.report import (
    console_columns,
    console_rows,
    leaderboard_rows,
    write_panel_report,
    write_report,
)
from geneb_jax.report.figure_heatmap import heat_colour
from geneb_jax.results import EmbeddingFacts, ModelFacts, RunScores, read_scores
from tests.kept_runs import write_kept_run
from tests.report.pages import linked_files, read
from tests.run_records import run_record

FIGURES = {
    "figure-1-leaderboard",
    "figure-2-pareto",
    "figure-3-heatmap",
    "figure-5-few-shot",
    "figure-6-high-variance",
    "figure-7-pairs",
}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return write_panel_report(tmp_path_factory.mktemp("published"), build_panel([]))


@pytest.fixture(scope="module")
def fifty(tmp_path_factory, geneb, make_rows) -> Path:
    """40 published models and ten of the user's."""
    rows = [
        row for k in range(10) for row in make_rows(geneb, f"lab-model-{k}", level=0.3 + 0.03 * k)
    ]
    models = [
        ModelFacts(
            f"lab-model-{k}", f"Lab model {k}", params=10 ** (6 + k // 3), architecture="T-enc"
        )
        for k in range(10)
    ]
    run = run_record(*models, versions={"python": "3.11", "jax": "0.10.2"})
    return write_report(tmp_path_factory.mktemp("fifty"), suite=geneb, scores=rows, run=run)


def test_it_asks_for_nothing_from_elsewhere(fifty) -> None:
    page = read(fifty)
    loading = {"src", "srcset", "poster", "data", "action", "formaction", "background", "ping"}
    for tag, attrs in page.tags:
        assert not loading & attrs.keys(), (tag, attrs)
        target = attrs.get("href") or "#"
        if target.startswith("https://"):  # a link that a reader may follow, and nothing else
            assert tag == "a" and attrs["rel"] == "noreferrer" and "download" not in attrs
            assert target.split("/")[2] in {"arxiv.org", "huggingface.co", "doi.org"}
        else:
            kinds = ("data:text/csv;base64,", "data:image/svg+xml;base64,", "data:,")
            assert target.startswith(("#", *kinds)), target
    text = fifty.read_text(encoding="utf-8")
    assert "@import" not in text and not re.search(r"url\(", text)
    (policy,) = [a["content"] for a in page.attributes("meta") if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy
    script = re.search(r"script-src 'sha256-([^']+)'", policy).group(1)
    body = re.search(r"<script>(.*)</script>", text, re.DOTALL).group(1)
    import hashlib

    assert base64.b64decode(script) == hashlib.sha256(body.encode()).digest()


def test_it_is_small_and_the_same_each_time(tmp_path, fifty, geneb, make_rows) -> None:
    assert fifty.stat().st_size < 3_000_000
    rows = make_rows(geneb)
    one, two = (
        write_report(tmp_path / name, suite=geneb, scores=rows, run=None) for name in ("a", "b")
    )
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 1 + 2 * len(FIGURES)
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    assert one.read_bytes() == two.read_bytes()


def test_every_figure_has_its_drawing_and_its_data(published) -> None:
    folder = published.parent / "figures"
    assert {path.stem for path in folder.glob("*.svg")} == FIGURES
    assert {path.stem for path in folder.glob("*.csv")} == FIGURES
    linked = linked_files(read(published))
    for name in FIGURES:
        root = ElementTree.fromstring((folder / f"{name}.svg").read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root[0].tag.endswith("title") and root[1].tag.endswith("desc")
        for suffix in ("csv", "svg"):
            assert linked[f"{name}.{suffix}"] == (folder / f"{name}.{suffix}").read_bytes()
    rows = list(csv.DictReader(io.StringIO(linked["figure-2-pareto.csv"].decode())))
    assert len(rows) == 41
    assert sum(row["on_frontier"] == "yes" for row in rows) == 8


def test_the_users_models_are_marked_and_ranked(fifty) -> None:
    page = read(fifty)
    rows = [a for a in page.attributes("tr") if a.get("data-source")]
    assert len(rows) == 51
    mine = [a for a in rows if a["data-source"] == "user"]
    assert len(mine) == 10 and all(a.get("class") == "mine" for a in mine)
    words = " ".join(page.words)
    assert "Best of your 10 models" in words and "of 51" in words
    assert "python 3.11, jax 0.10.2" in " ".join(words.split())


def test_a_partial_run_withholds_the_macro_and_says_so(tmp_path, geneb, make_rows) -> None:
    some = replace(geneb, tasks=geneb.tasks[:33])
    rows = make_rows(some)
    page = read(write_report(tmp_path, suite=some, scores=rows, run=None))
    words = " ".join(" ".join(page.words).split())
    assert "The 33 tasks of this run (not the GENEB score)" in words
    assert "GENEB (100 tasks)" in words and "33/100" in words
    board = leaderboard_rows(some, rows, None)
    assert board.tasks == 33 and len(board.rows) == 42
    assert all(row.rank is not None for row in board.rows)


def test_simulated_scores_carry_their_banner_and_stand_alone(tmp_path, make_rows) -> None:
    demo = load_suite("demo")
    rows = [row for k in range(3) for row in make_rows(demo, f"m{k}", level=0.2 * k)]
    page = read(write_report(tmp_path, suite=demo, scores=rows, run=None, published=True))
    assert any("banner" in (a.get("class") or "") for a in page.attributes("p"))
    words = " ".join(page.words)
    assert "Simulated data" in words and "GENERator" not in words and "2606.04525" not in words
    assert len([a for a in page.attributes("tr") if a.get("data-source")]) == 3
    assert "simulated" in leaderboard_rows(demo, rows).title


def test_one_model_one_regime_one_task(tmp_path, geneb, make_rows) -> None:
    lone = replace(geneb, tasks=geneb.tasks[:1], dataset=None, name="own", title="Own")
    rows = [row for row in make_rows(lone) if row.regime == "10shot"]
    page = read(write_report(tmp_path, suite=lone, scores=rows, run=None))
    assert "Own (1 tasks)" in " ".join(page.words)


def test_a_run_with_nothing_but_failures_still_reports(tmp_path, geneb, make_rows) -> None:
    rows = make_rows(
        geneb, mcc=None, accuracy=None, macro_f1=None, status="failed", error="out of memory"
    )
    page = read(write_report(tmp_path, suite=geneb, scores=rows, run=None))
    words = " ".join(page.words)
    assert "fits failed and count as missing" in words
    assert "0/100" in words


def test_date_and_cost_stand_between_their_marks_and_nowhere_else(
    tmp_path, geneb, make_rows
) -> None:
    rows, pages = make_rows(geneb, "mine"), []
    for name, seconds, day in (("a", 10.0, "01"), ("b", 99.0, "28")):
        cost = EmbeddingFacts(1000, 0, seconds=seconds)
        facts = ModelFacts("mine", params=10**7, embedding=cost, probing_seconds=seconds / 4)
        run = run_record(facts, written_utc=f"2026-02-{day}T12:00:00Z", versions={"jax": "1"})
        out = tmp_path / name
        pages.append(write_report(out, suite=geneb, scores=rows, run=run).read_text("utf-8"))
    parts = [re.split("<!--/?times-->", page) for page in pages]
    assert [len(part) for part in parts] == [3, 3]
    assert (parts[0][0], parts[0][2]) == (parts[1][0], parts[1][2])
    assert "1 model: embedding 10 s, probes 2.5 s" in parts[0][1]
    assert "run of 2026-02-28 12:00:00 UTC" in parts[1][1]


def test_labels_of_the_pareto_figure_cover_no_point_and_no_line(published) -> None:
    text = (published.parent / "figures" / "figure-2-pareto.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    tag = "{http://www.w3.org/2000/svg}"
    points = []
    for mark in [*root.iter(f"{tag}circle"), *root.iter(f"{tag}path")]:
        if mark.find(f"{tag}title") is not None:  # only points have tooltips
            numbers = [float(n) for n in re.findall(r"[-\d.]+", mark.get("d") or "")]
            points.append(
                (sum(numbers[::2]) / len(numbers[::2]), sum(numbers[1::2]) / len(numbers[1::2]))
                if numbers
                else (float(mark.get("cx")), float(mark.get("cy")))
            )
    assert len(points) == 41
    (edge,) = [path for path in root.iter(f"{tag}path") if path.get("stroke-dasharray")]
    corners = [tuple(map(float, p.split())) for p in edge.get("d").removeprefix("M").split("L")]
    for (x1, y1), (x2, y2) in pairwise(corners):
        points += [(x1 + (x2 - x1) * k / 200, y1 + (y2 - y1) * k / 200) for k in range(201)]
    names = {model.title for model in reference_cube().models}
    labels = [t for t in root.iter(f"{tag}text") if t.text in names]
    assert len(labels) >= 4  # of the eight on the frontier
    for label in labels:
        x, y, size = (float(label.get(key)) for key in ("x", "y", "font-size"))
        wide = 0.55 * size * len(label.text)
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[label.get("text-anchor")]
        inside = [p for p in points if left < p[0] < left + wide and y - 0.75 * size < p[1] < y]
        assert inside == [], label.text


@pytest.mark.parametrize("step", range(-1, 11))
def test_numbers_of_the_heatmap_have_contrast(step) -> None:
    def luminance(colour: str) -> float:  # WCAG 2.2, relative luminance
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted(map(luminance, heat_colour(step / 10)))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_page_carries_the_numbers_it_ranks_by(fifty, geneb, make_rows, tolerance) -> None:
    numbers = json.loads(read(fifty).template)
    cube = reference_cube()
    place = {model["label"]: m for m, model in enumerate(numbers["models"])}
    assert [task["id"] for task in numbers["tasks"]] == [task.task_id for task in cube.tasks]
    first, second = "MutBERT", "GROVER"
    found = compare_models(cube, first, second, "full")
    a, b = place[first], place[second]
    assert a < b  # best first, so the page has the interval of a - b
    assert numbers["pairs"][a][b - a - 1] == pytest.approx(
        [found.interval.low, found.interval.high], abs=tolerance("page_number", "four_decimals")
    )
    for label in (first, second, "lab-model-3"):
        model = numbers["models"][place[label]]
        by_category: dict[int, list[float]] = {}
        for task, score in zip(numbers["tasks"], model["scores"][0], strict=True):
            by_category.setdefault(task["category"], []).append(score)
        macro = fmean(fmean(scores) for scores in by_category.values())
        assert model["interval"][0] < macro < model["interval"][1]
        if label == first:
            assert macro == pytest.approx(
                0.5294, abs=tolerance("page_number", "four_decimals")
            )  # as published
    inside = numbers["models"][a]["inside"]
    assert set(inside) == {
        c
        for c in cube.categories
        if len(cube.tasks) and sum(task.category == c for task in cube.tasks) >= 5
    }


@pytest.mark.fault("F39")
def test_hostile_names_are_text(tmp_path, geneb, make_rows, hostile) -> None:
    rows = [row for name in hostile for row in make_rows(geneb, name)]
    labels = {"architecture": hostile[0], "tokenization": hostile[6], "corpus": hostile[8]}
    models = [
        ModelFacts(name, name + "\x1b[2J\x07\u202e", params=10**7, **labels) for name in hostile
    ]
    run = run_record(*models, versions={hostile[0]: hostile[5]})
    path = write_report(tmp_path, suite=geneb, scores=rows, run=run)
    page = read(path)
    assert len(page.attributes("script")) == 1 and page.attributes("img") == []
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    words = "".join(page.words)
    for name in hostile[:-1]:
        assert name[:47] in words
    assert "49" not in re.findall(r"(?<=owned).{0,2}", words)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", text)
    for figure in (tmp_path / "figures").glob("*.svg"):
        root = ElementTree.fromstring(figure.read_text(encoding="utf-8"))
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert kinds <= {"svg", "title", "desc", "rect", "line", "path", "circle", "text"}
    for table in (tmp_path / "figures").glob("*.csv"):
        for row in csv.reader(io.StringIO(table.read_text(encoding="utf-8"))):
            for cell in row:
                if cell.startswith(("=", "+", "@", "-")):
                    float(cell)  # only numbers may begin so


def test_console_rows_keep_the_leaders_and_the_neighbours(geneb, make_rows) -> None:
    board = leaderboard_rows(geneb, make_rows(geneb, level=0.45), None)
    lines = console_rows(board, neighbours=2)
    mine = next(k for k, line in enumerate(lines) if line[2].startswith("> "))
    place = next(k for k, row in enumerate(board.rows) if row.model.source == "user")
    assert [line[0] for line in lines[mine - 2 : mine + 3]] == [
        str(row.rank) for row in board.rows[place - 2 : place + 3]
    ]
    assert lines[0][0] == "1" and lines[2][0] == "..."
    assert all(len(line) == len(console_columns(board)) for line in lines)
    assert lines[mine][-1] == "100/100"


def test_settings_of_a_sweep_are_compared(tmp_path, geneb, make_rows) -> None:
    rows = []
    for strength in (0.1, 1.0, 10.0):
        for k in range(4):
            rows += make_rows(geneb, f"m{k}", level=0.3 + 0.1 * k, C=strength)
    words = " ".join(read(write_report(tmp_path, suite=geneb, scores=rows, run=None)).words)
    assert "Agreement of probe settings, full" in words
    assert "logistic, C = 0.1, reference solver" in words
    panel = build_panel([RunScores(geneb, rows, None)])
    assert len(panel.ranked.models) == 45


def test_leaked_rows_are_shown_with_the_score_without_them(tmp_path) -> None:
    demo = load_suite("demo")
    write_kept_run(tmp_path, demo, {"mine": 0.7}, leaked=30)
    page = read(write_report(tmp_path, suite=demo, scores=read_scores(tmp_path), run=None))
    words = " ".join(" ".join(page.words).split())
    assert "The score without test rows that are training rows too" in words
    assert "mine full 13 390 0." in words  # all tasks, thirty rows each
    assert "Your scores, full: interval, chance, baselines, leakage" in words
    assert "Spread over test rows, full" in words
    assert "390 test rows are training rows too; macro" in words


def test_published_report_takes_seconds_and_no_jax(tmp_path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from geneb_jax.analysis import build_panel, compute_statistics\n"
        "from geneb_jax.report import write_panel_report\n"
        "panel = build_panel([])\n"
        "compute_statistics(panel)\n"
        f"write_panel_report(Path({str(tmp_path)!r}), panel)\n"
        "heavy = {'jax', 'torch', 'transformers', 'tensorstore', 'matplotlib', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)), time.process_time())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    loaded, seconds = done.stdout.rsplit(" ", 1)
    assert loaded == "[]"
    assert float(seconds) <= 5.0  # processor time, so that a busy machine does not decide
