"""The built book in a folder with a space in its name, and one browser that cannot reach a network."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bookbinder import bootstrap, site
from bookbinder.manifest import find_root, load_book

THEMES = ("light", "dark")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 30_000
_DRAWN = "async () => { if (window.MathJax) await MathJax.startup.promise; }"
_OPENED = "() => document.querySelectorAll('article details').forEach((box) => { box.open = true; })"
_FORMULAS = """() => {
  const written = document.createElement("div");
  written.innerHTML = document.querySelector("article")?.innerHTML ?? "";
  written.querySelectorAll("pre, code, script, mjx-container, svg").forEach((part) => part.remove());
  return {
    expected: document.querySelectorAll(".math").length,
    drawn: [...document.querySelectorAll("mjx-container")].filter((box) => box.querySelector("path, rect")).length,
    errors: [...document.querySelectorAll("mjx-merror, [data-mml-node='merror']")].map((box) => box.textContent),
    text: written.textContent,
  };
}"""
# Axe looks at every token of code and every formula, which takes minutes. One of each kind and place is enough.
_SAMPLE = """() => {
  const seen = new Set();
  document.querySelectorAll(".highlight pre span").forEach((token) => {
    const kind = `${token.className} in ${token.closest(".highlight").parentElement.className}`;
    if (seen.has(kind)) token.replaceWith(...token.childNodes); else seen.add(kind);
  });
  document.querySelectorAll("article mjx-container").forEach((formula) => {
    const kind = `formula in ${formula.closest("section > *")?.tagName}, display ${formula.getAttribute("display")}`;
    if (seen.has(kind)) formula.replaceWith("x"); else seen.add(kind);
  });
}"""
_AXE = """async () => (await axe.run(document, {resultTypes: ["violations"], preload: false})).violations.flatMap(
  (found) => found.nodes.map((node) => [found.impact, found.id, node.target.join(" "), node.failureSummary]))"""


@dataclass
class Visit:
    """What one page did when it was opened in one theme."""

    page: str
    theme: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # console errors, failed requests, exceptions
    formulas: dict = field(default_factory=dict)
    background: str = ""
    overflow_px: int = 0  # how far a telephone would have to scroll sideways
    barriers: list[tuple[str, str, str, str]] = field(default_factory=list)  # impact, rule, element, summary


@pytest.fixture(scope="session")
def html() -> Path:
    """The book as it is now; nothing is built when nothing has changed."""
    return site.build(load_book(find_root(Path(__file__)))).parent


@pytest.fixture(scope="session")
def folder(html: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy where readers may put it."""
    return Path(shutil.copytree(html, tmp_path_factory.mktemp("site") / "a book to read"))


@contextmanager
def _chromium() -> Iterator:
    """A headless browser of one's own; Playwright wants one for each thread."""
    path = bootstrap.find_browser()
    if path is None:
        pytest.skip(bootstrap.BROWSER_ADVICE)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """One headless Chromium for all the tests that click."""
    with _chromium() as chromium:
        yield chromium


@pytest.fixture
def page(browser) -> Iterator:
    """A fresh tab without a network."""
    context = browser.new_context(offline=True)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def visits(folder: Path) -> list[Visit]:
    """Every page of the book, opened in both themes; the two tours are made at the same time."""
    if bootstrap.find_browser() is None:
        pytest.skip(bootstrap.BROWSER_ADVICE)
    with ThreadPoolExecutor(len(THEMES)) as pool:
        return [visit for tour in pool.map(lambda theme: _tour(folder, theme), THEMES) for visit in tour]


def _tour(folder: Path, theme: str) -> list[Visit]:
    with _chromium() as browser:
        return list(_visited(browser, folder, theme))


def _visited(browser, folder: Path, theme: str) -> Iterator[Visit]:
    from axe_playwright_python.base import AXE_SCRIPT

    context = browser.new_context(offline=True, reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}');")
    tab = context.new_page()
    tab.set_default_timeout(WAIT_MS)
    first = theme == THEMES[0]
    now: list[Visit] = []
    tab.on("request", lambda request: now[-1].requests.append(request.url))
    tab.on("requestfailed", lambda request: now[-1].complaints.append(f"failed: {request.url}"))
    tab.on("pageerror", lambda error: now[-1].complaints.append(f"exception: {error}"))
    tab.on("console", lambda said: now[-1].complaints.append(said.text) if said.type == "error" else None)
    for path in sorted(set(folder.rglob("*.html")) - set((folder / "_static").rglob("*"))):
        visit = Visit(path.relative_to(folder).as_posix(), theme)
        now.append(visit)
        tab.goto(path.as_uri())
        tab.evaluate(_DRAWN)
        tab.evaluate(_OPENED)
        visit.background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        if first:
            visit.formulas = tab.evaluate(_FORMULAS)
            tab.set_viewport_size({"width": 390, "height": 800})
            visit.overflow_px = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            tab.set_viewport_size({"width": 1280, "height": 900})
        tab.evaluate(_SAMPLE)
        tab.evaluate(AXE_SCRIPT)
        visit.barriers = [tuple(row) for row in tab.evaluate(_AXE)]
        tab.wait_for_load_state("networkidle")  # what is still under way when the page is left counts as failed
        yield visit
    context.close()
