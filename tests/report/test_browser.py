"""report.html in headless Chromium, driven over a pipe: no error, no request, clicks work."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geneb_jax.analysis import reference_cube
from geneb_jax.report import write_report
from geneb_jax.results import ModelFacts
from tests.report.pages import read
from tests.run_records import run_record

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """One page of a headless Chromium, spoken to in the DevTools protocol over two pipes."""

    def __init__(self, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        # Chromium reads commands from descriptor 3 and writes answers to 4; the pipes may hold
        # these numbers themselves, so they move out of the way first.
        to_browser, from_browser = _above(to_browser), _above(from_browser)
        self._write, self._read = _above(self._write), _above(self._read)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCH, str(to_browser), str(from_browser)),
                str(CHROMIUM),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(to_browser, from_browser),
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        (target,) = [
            t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"
        ]
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        limit = time.monotonic() + 60
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, limit - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._read, 1 << 16)
            assert part, "the browser has gone"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, path: Path, *, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def run(self, program: str) -> Any:
        """The value of a JavaScript expression, evaluated outside the page's policy."""
        found = self.call("Runtime.evaluate", expression=program, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression holds."""
        limit = time.monotonic() + 60
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < limit, condition
            time.sleep(0.05)

    def named(self, *methods: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") in methods]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._write)
        os.close(self._read)


def _above(descriptor: int) -> int:
    """The same pipe end under a number above 4."""
    import fcntl

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory, geneb, make_rows, hostile) -> Path:
    rows = [row for k in range(4) for row in make_rows(geneb, f"lab-{k}", level=0.3 + 0.1 * k)]
    rows += [row for name in hostile for row in make_rows(geneb, name)]
    # Off the protocol: it ranks nowhere, and nobody is behind it.
    rows += [row for row in make_rows(geneb, "one-seed", level=0.95) if row.seed == 13]
    run = run_record(ModelFacts("lab-0", params=10**7), ModelFacts("lab-1", params=10**9))
    return write_report(tmp_path_factory.mktemp("report"), suite=geneb, scores=rows, run=run)


COLUMN = "[...document.querySelectorAll('#board-1 tbody tr')].map(r => r.cells[{}].{})"


@pytest.mark.parametrize("width", [1280, 400])
def test_it_opens_without_an_error_or_a_request(browser, report, width) -> None:
    browser.open(report, width=width)
    time.sleep(0.2)
    assert browser.run("document.title") == "GENEB: report"  # no hostile name has changed it
    requests = [e["params"]["request"]["url"] for e in browser.named("Network.requestWillBeSent")]
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert browser.named("Runtime.exceptionThrown", "Log.entryAdded") == []
    assert browser.named("Runtime.consoleAPICalled", "Page.javascriptDialogOpening") == []
    assert browser.run("window.owned") is None


@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_window_and_its_words_are_legible(browser, report, width) -> None:
    browser.open(report, width=width)
    # Wide tables and figures scroll in their own boxes; the page itself does not.
    assert browser.run("document.documentElement.scrollWidth") <= width
    sizes = browser.run(
        "[...document.querySelectorAll('p,td,th,li,a,label,figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    drawn = browser.run(
        "[...document.querySelectorAll('.drawing svg')].map(s => {"
        "const box = s.getBoundingClientRect(), scale = box.width / s.viewBox.baseVal.width;"
        "return [box.right, Math.min(...[...s.querySelectorAll('text')]"
        ".map(t => scale * t.getAttribute('font-size')))];})"
    )
    # Figures are drawn whole, without a bar to scroll by, and their words stay legible.
    assert len(drawn) == 6 and min(size for _, size in drawn) >= 8.9
    assert max(right for right, _ in drawn) <= width


def test_the_first_screen_answers_without_scrolling(browser, report) -> None:
    browser.open(report, width=1280, height=800)
    bottom = "document.querySelector('{}').getBoundingClientRect().bottom"
    for place in ("#answer-best", "#answer-yours", "#choice-first table", "#standing svg"):
        assert browser.run(bottom.format(place)) <= 800, place
    words = browser.run("document.querySelector('#answer-best').innerText")
    assert "GENERator-Eukaryote-3B" in words and "95%:" in words and "ie group 1" in words


#: The smallest contrast of any text with what it stands on, as WCAG 2.2 defines it, and where.
CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const parts = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = c => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor); if (c[3]) return c; }
    return [255, 255, 255, 255]; };
  const found = [...document.querySelectorAll('body *:not(svg *)')]
    .filter(e => e.checkVisibility()
      && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const one = luminance(parts(getComputedStyle(e).color)), two = luminance(behind(e));
      const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
      return [ratio, e.outerHTML.slice(0, 80)]; });
  return found.sort((a, b) => a[0] - b[0])[0];
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_has_contrast(browser, report, scheme) -> None:
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.open(report, width=1280)
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    least, where = browser.run(CONTRAST)
    assert least >= 4.5, where
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_a_model_and_a_task_are_one_click_away(browser, report) -> None:
    browser.open(report, width=1280)
    numbers = json.loads(read(report).template)
    browser.run("document.querySelector('#answer-yours a.to').click()")
    time.sleep(0.3)
    opened, words = (
        "document.getElementById('panel').open",
        "document.getElementById('panel').innerText",
    )
    assert browser.run(opened)
    said = browser.run(words)
    assert said.startswith("lab-3") and "Can the difference be trusted?" in said
    rows = "[...document.querySelectorAll('#panel table')][{}].tBodies[0].rows"
    mine = next(m for m, one in enumerate(numbers["models"]) if one["label"] == "lab-3")
    ranked = [m for m, one in enumerate(numbers["models"]) if one["rank"] and m != mine]
    line = (
        "[...[...{}].find(r => r.cells[0].textContent === 'MutBERT').cells].map(c => c.innerText)"
    )
    _, difference, interval, verdict = browser.run(line.format(rows.format(2)))
    assert browser.run(rows.format(2) + ".length") == len(ranked)
    other = next(m for m, one in enumerate(numbers["models"]) if one["label"] == "MutBERT")
    low, high = numbers["pairs"][min(mine, other)][abs(mine - other) - 1]
    low, high = (low, high) if mine < other else (-high, -low)
    assert interval.replace("\u2212", "-") == f"{low:.3f} to {high:.3f}"
    expected = "better" if low > 0 else "worse" if high < 0 else "cannot be told"
    assert verdict == expected and low < float(difference.replace("\u2212", "-")) < high
    best = "[...{}].map(r => r.cells[r.cells.length - 1].innerText)"
    assert not any("one-seed" in words for words in browser.run(best.format(rows.format(1))))
    assert not any("one-seed" in words for words in browser.run(best.format(rows.format(0))))
    # The first task is the one on which it is furthest behind; a click leads to that task.
    gaps = browser.run(f"[...{rows.format(1)}].map(r => Number(r.cells[8].dataset.v))")
    assert gaps == sorted(gaps, reverse=True) and len(gaps) == 100
    browser.run(rows.format(1) + "[0].querySelector('a').click()")
    browser.wait(f"{words}.includes('Every model on this task, full')")
    browser.run("document.getElementById('panel-close').click()")
    browser.wait(f"!{opened} && location.hash === ''")
    assert browser.named("Runtime.exceptionThrown", "Log.entryAdded") == []


def test_the_ranking_follows_a_choice_of_tasks(browser, report, tolerance) -> None:
    browser.open(report, width=1280)
    cube = reference_cube()
    table = (
        "[...document.querySelectorAll('#board-1 tbody tr')]"
        ".map(r => [...r.cells].slice(0, 5).map(c => c.innerText))"
    )
    before = browser.run(table)
    tick = (
        "[...document.querySelectorAll('input.category')].forEach(b => {{"
        "const on = {}.some(n => b.parentElement.textContent.includes(n));"
        "if (b.checked !== on) {{ b.checked = on;"
        "b.dispatchEvent(new Event('change', {{bubbles: true}})); }}}})"
    )
    browser.run(tick.format("['Promoters']"))
    inside = np.array([task.category == "Promoters" for task in cube.tasks])
    means = cube.in_regime("full")[:, inside].mean(axis=1)
    shown = {row[1].split("\n")[0]: row for row in browser.run(table)}
    for model, mean in zip(cube.models, means.tolist(), strict=True):
        name = next(key for key in shown if key.split(" later")[0].split(" this")[0] == model.title)
        assert float(shown[name][2]) == pytest.approx(
            mean, abs=tolerance("page_number", "three_decimals")
        )
        assert " to " in shown[name][3]
    assert "1 of" not in browser.run("document.getElementById('chosen').innerText")
    browser.run(tick.format("['Promoters', 'Enhancers']"))
    assert {row[3] for row in browser.run(table)} == {"\u2013"}
    said = browser.run("document.getElementById('chosen').innerText")
    assert said.startswith("30 of 100 tasks, full. No intervals and no ties")
    browser.run("document.getElementById('choose-all').click()")
    assert browser.run(table) == before


def test_columns_sort_both_ways_and_missing_values_stay_last(browser, report) -> None:
    browser.open(report, width=1280)
    click = "document.querySelectorAll('#board-1 thead th')[{}].click()"

    def column(place: int) -> list[float | None]:
        values = browser.run(COLUMN.format(place, "dataset.v"))
        return [float(value) if value else None for value in values]

    first = column(2)
    assert first[:-1] == sorted(first[:-1], reverse=True)  # the last is off the protocol
    titles = browser.run(
        "[...document.querySelectorAll('#board-1 thead th')].map(h => h.innerText)"
    )
    few, params = titles.index("Macro 1shot"), titles.index("Params")
    browser.run(click.format(few))
    once = column(few)
    assert once == sorted(first_of(once), reverse=True)
    browser.run(click.format(few))
    assert column(few) == sorted(once)
    browser.run(click.format(params))
    sizes = column(params)
    known = [size for size in sizes if size is not None]
    assert known == sorted(known, reverse=True)
    assert sizes[len(known) :] == [None] * (len(sizes) - len(known)) and len(sizes) > len(known)
    browser.run(click.format(1))
    names = browser.run(COLUMN.format(1, "textContent"))
    folded = [name.strip().lower() for name in names]
    assert [n for n in folded if n[0].isalpha()] == sorted(n for n in folded if n[0].isalpha())
    order = "document.querySelectorAll('#board-1 thead th')[1].getAttribute('aria-sort')"
    assert browser.run(order) == "ascending"


def first_of(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def test_filters_narrow_the_table(browser, report) -> None:
    browser.open(report, width=1280)
    shown = "[...document.querySelectorAll('#board-1 tbody tr')].filter(r => !r.hidden).length"
    change = (
        "(() => {{const c = document.querySelector({0!r}); c.value = {1!r};"
        "c.dispatchEvent(new Event('input', {{bubbles: true}}));}})()"
    )
    everyone = browser.run(shown)
    assert everyone == 41 + 17
    browser.run(change.format("input.filter[data-table=board-1]", "t-enc human"))
    assert 0 < browser.run(shown) < 15
    counted = browser.run("document.querySelector('.count[data-table=board-1]').textContent")
    assert counted == f"{browser.run(shown)} of {everyone}"
    browser.run(change.format("input.filter[data-table=board-1]", "<script>"))
    assert browser.run(shown) == 1
    browser.run(change.format("input.filter[data-table=board-1]", ""))
    browser.run(change.format("select.pick[data-field=source]", "user"))
    assert browser.run(shown) == 17
    browser.run(change.format("select.limit[data-table=board-1]", "1e8"))
    assert browser.run(shown) == 1  # one of the user's has a known size below 100M
    browser.run(change.format("select.pick[data-field=source]", "*"))
    assert browser.run(shown) == int((reference_cube().params <= 1e8).sum()) + 1


def test_it_prints_on_a4_what_is_open(browser, report) -> None:
    browser.open(report, width=1054)  # A4 landscape less its margins, at 96 dots an inch
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run("document.documentElement.scrollWidth") <= 1054
    hidden = "getComputedStyle(document.querySelector('{}')).display"
    assert browser.run(hidden.format(".controls")) == browser.run(hidden.format(".block")) == "none"
    browser.run("document.getElementById('unfold').click()")
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.run(hidden.format(".block")) == "block"
    assert browser.run("document.documentElement.scrollWidth") <= 1054
    browser.call("Emulation.setEmulatedMedia", media="")
