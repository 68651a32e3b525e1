"""report.html as bytes: self-contained, small, the same each time, and deaf to hostile names."""

from __future__ import annotations

import base64
import csv
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from geneb_jax.analysis import build_panel
from geneb_jax.benchmark import load_suite
from geneb_jax.report import (
    console_columns,
    console_rows,
    leaderboard_rows,
    write_panel_report,
    write_report,
)
from geneb_jax.results import ModelFacts, RunScores, read_scores
from tests.kept_runs import write_kept_run
from tests.run_records import run_record

FIGURES = {
    "figure-2-pareto",
    "figure-3-heatmap",
    "figure-4-radar",
    "figure-5-few-shot",
    "figure-6-high-variance",
    "figure-7-pairs",
}
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.words.append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def read(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


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
        for name in ("href", "xlink:href"):
            target = attrs.get(name)
            assert target is None or target.startswith(("#", "data:text/csv;base64,", "data:,"))
    text = fifty.read_text(encoding="utf-8")
    assert "@import" not in text and not re.search(r"url\(", text)
    addresses = set(re.findall(r"https?://[^\s'\"<>)]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}
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
    page = read(published)
    linked = {
        a["download"]: base64.b64decode(a["href"].split(",", 1)[1])
        for a in page.attributes("a")
        if "download" in a
    }
    for name in FIGURES:
        root = ElementTree.fromstring((folder / f"{name}.svg").read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root[0].tag.endswith("title") and root[1].tag.endswith("desc")
        assert linked[f"{name}.csv"] == (folder / f"{name}.csv").read_bytes()
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
    assert "Lab model 9: macro MCC" in words and "of 51" in words
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
    assert "without the 390 test rows that are training rows too" in words


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
