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

import pytest

from geneb_jax.analysis import reference_cube
from geneb_jax.report import write_report

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
    run = {"models": {"lab-0": {"params": 10**7}, "lab-1": {"params": 10**9}}}
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
    drawn = browser.run(
        "[...document.querySelectorAll('figure svg')].map(s => {"
        "const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;"
        "return Math.min(...[...s.querySelectorAll('text')]"
        ".map(t => scale * t.getAttribute('font-size')));})"
    )
    assert len(drawn) == 6 and min(drawn) >= 9


def test_columns_sort_both_ways_and_missing_values_stay_last(browser, report) -> None:
    browser.open(report, width=1280)
    click = "document.querySelectorAll('#board-1 thead th')[{}].click()"

    def column(place: int) -> list[float | None]:
        values = browser.run(COLUMN.format(place, "dataset.v"))
        return [float(value) if value else None for value in values]

    first = column(2)
    assert first == sorted(first, reverse=True)
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
    assert everyone == 41 + 16
    browser.run(change.format("input.filter[data-table=board-1]", "t-enc human"))
    assert 0 < browser.run(shown) < 15
    counted = browser.run("document.querySelector('.count[data-table=board-1]').textContent")
    assert counted == f"{browser.run(shown)} of {everyone}"
    browser.run(change.format("input.filter[data-table=board-1]", "<script>"))
    assert browser.run(shown) == 1
    browser.run(change.format("input.filter[data-table=board-1]", ""))
    browser.run(change.format("select.pick[data-field=source]", "user"))
    assert browser.run(shown) == 16
    browser.run(change.format("select.limit[data-table=board-1]", "1e8"))
    assert browser.run(shown) == 1  # one of the user's has a known size below 100M
    browser.run(change.format("select.pick[data-field=source]", "*"))
    assert browser.run(shown) == int((reference_cube().params <= 1e8).sum()) + 1


def test_it_prints_on_a4_with_nothing_cut_and_nothing_folded(browser, report) -> None:
    browser.open(report, width=1054)  # A4 landscape less its margins, at 96 dots an inch
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.documentElement.scrollWidth") <= 1054
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    hidden = "getComputedStyle(document.querySelector('{}')).display"
    assert browser.run(hidden.format(".controls")) == browser.run(hidden.format("nav")) == "none"
    browser.call("Emulation.setEmulatedMedia", media="")
