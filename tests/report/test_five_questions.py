"""Five questions of a reader, each answered by the first screen of report.html as it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from geneb_jax.analysis import build_panel, compare_models, reference_cube
from geneb_jax.report import write_report
from geneb_jax.results import EmbeddingFacts, ModelFacts, RunScores
from tests.report.pages import read
from tests.run_records import run_record


@dataclass
class Element:
    """The words of an element, with the addresses of its links."""

    words: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


class ById(HTMLParser):
    """Every element that has an id, and the rows of tables under the id that holds them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: dict[str, Element] = {}
        self.rows: dict[str, list[list[Element]]] = {}
        self._open: list[tuple[str, str]] = []
        self._cell: Element | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        if tag in ("meta", "link", "input"):
            return
        known = dict(attrs)
        self._open.append((tag, known.get("id") or ""))
        if known.get("id"):
            self.elements[known["id"]] = Element()
        holder = next((name for _, name in reversed(self._open) if name), "")
        if tag == "tr":
            self.rows.setdefault(holder, []).append([])
        if tag in ("td", "th"):
            self._cell = Element()
            self.rows[holder][-1].append(self._cell)
        if tag == "a":
            for one in self._inside():
                one.links.append(known.get("href") or "")

    def handle_endtag(self, tag) -> None:
        self._open.pop()
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data) -> None:
        for one in self._inside():
            one.words.append(data)

    def _inside(self) -> list[Element]:
        found = [self.elements[name] for _, name in self._open if name]
        return [*found, self._cell] if self._cell else found


@pytest.fixture(scope="module")
def written(tmp_path_factory, geneb, make_rows) -> tuple[Path, RunScores]:
    rows = [*make_rows(geneb, "mine", level=0.6), *make_rows(geneb, "kmer-6", level=0.4)]
    # Off the protocol, so nobody is behind it: it ranks nowhere.
    rows += [row for row in make_rows(geneb, "one-seed", level=0.9) if row.seed == 13]
    cost = EmbeddingFacts(500_000, 0, seconds=250.0)
    run = run_record(
        ModelFacts("mine", "My model", params=50_000_000, embedding=cost, probing_seconds=60.0),
        ModelFacts("kmer-6", "6-mer frequencies", weights="none"),
        ModelFacts("one-seed", "One seed"),
        devices=("gpu: NVIDIA H200",),
    )
    folder = tmp_path_factory.mktemp("five")
    path = write_report(folder, suite=geneb, scores=rows, run=run)
    return path, RunScores(geneb, rows, run, folder)


@pytest.fixture(scope="module")
def page(written) -> ById:
    return ById(written[0].read_text(encoding="utf-8"))


def test_which_model_is_best_for_promoters_under_100m(page, written) -> None:
    cube = build_panel([written[1]]).cube
    inside = np.array([task.category == "Promoters" for task in cube.tasks])
    means = np.where(cube.params <= 1e8, cube.in_regime("full")[:, inside].mean(axis=1), -1)
    line = next(row for row in page.rows["choice-first"] if row[0].text.startswith("Promoters"))
    titles = [cell.text for cell in page.rows["choice-first"][0]]
    cell = line[titles.index("Best up to 100M")]
    best = int(means.argmax())
    assert cell.text == f"{cube.models[best].title} {means[best]:.2f}"
    assert cell.links[0].startswith("#model-")


def test_is_mine_better_than_k_mers(page, written) -> None:
    found = compare_models(build_panel([written[1]]).cube, "mine", "kmer-6", "full")
    assert found.interval.low > 0
    card = page.elements["answer-against"].text
    assert card.startswith("Better than k-mers (6-mer frequencies)? Yes")
    assert f"{found.difference:+.3f}" in card and "95%:" in card


def test_can_this_difference_be_trusted(page, written, tolerance) -> None:
    # One click on a model opens its differences to all others, from the numbers of the page.
    numbers = json.loads(read(written[0]).template)
    place = {one["label"]: m for m, one in enumerate(numbers["models"])}
    assert page.elements["answer-yours"].links[0] == f"#model-{place['mine']}"
    first, second = sorted((place["mine"], place["MutBERT"]))
    labels = [numbers["models"][m]["label"] for m in (first, second)]
    found = compare_models(build_panel([written[1]]).cube, *labels, "full")
    assert numbers["pairs"][first][second - first - 1] == pytest.approx(
        [found.interval.low, found.interval.high], abs=tolerance("page_number", "four_decimals")
    )
    # And the first screen says it of the best.
    assert "others cannot be told from it" in page.elements["answer-best"].text


def test_which_tasks_hold_it_back(page, written) -> None:
    cube = build_panel([written[1]]).cube
    scores, mine = cube.in_regime("full"), cube.model_index("mine")
    assert cube.off_protocol["one-seed"]
    gaps = (
        np.delete(scores, [mine, cube.model_index("one-seed")], axis=0).max(axis=0) - scores[mine]
    )
    worst = np.argsort(-gaps)[:3]
    card = page.elements["answer-held"]
    assert all(cube.tasks[k].label in card.text for k in worst.tolist())
    assert f"#task-{worst[0]}" in card.links
    assert reference_cube().tasks[worst[0]].label == cube.tasks[worst[0]].label


def test_what_did_it_cost(page) -> None:
    said = page.elements["cost"].text
    assert "1 model: embedding 4.17 min, probes 60 s of wall time" in said
    assert "My model" in said and "2000.00" in said  # sequences a second
    assert "Device: NVIDIA H200." in page.elements["made"].text
