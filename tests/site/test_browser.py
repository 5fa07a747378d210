"""The book in a real browser: opened from a file, without a network, in both themes."""

import re
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

# The first test also pays for the visits: two for each page, some seconds each where the machine is busy.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

RAW_FORMULA = re.compile(r"\$\$|\\\(|\\\[|(?<!\w)\\(?:frac|sum|log|mathrm|begin)\b")
RAW_ROLE = re.compile(r"\{(?:term|eq|ref|numref|cite(?::\w+)?|doc|download)\}|:::|<!--")


def test_no_request_leaves_the_folder(visits, folder):
    home = folder.as_uri() + "/"
    assert [f"{v.page}: {url}" for v in visits for url in v.requests if not url.startswith((home, "data:"))] == []
    assert all(v.requests for v in visits)  # they were recorded


def test_nothing_goes_wrong(visits):
    assert [f"{v.page} ({v.theme}): {complaint}" for v in visits for complaint in v.complaints] == []


def test_formulas_are_drawn(visits):
    seen = [v for v in visits if v.formulas]
    wrong = [f"{v.page}: {v.formulas['errors']}" for v in seen if v.formulas["errors"]]
    for v in seen:
        if v.formulas["drawn"] < v.formulas["expected"]:
            wrong.append(f"{v.page}: {v.formulas['drawn']} of {v.formulas['expected']} drawn")
        wrong += [f"{v.page}: {found!r} is in the text" for found in RAW_FORMULA.findall(v.formulas["text"])]
    assert wrong == []
    assert sum(v.formulas["drawn"] for v in seen) > 50


def test_no_markup_is_left_in_the_text(visits):
    assert [
        f"{v.page}: {found!r}" for v in visits if v.formulas for found in RAW_ROLE.findall(v.formulas["text"])
    ] == []


def test_no_serious_barrier(visits):
    """What axe calls serious or critical: on the whole page, in both themes, with all solutions open."""
    serious = [(v, row) for v in visits for row in v.barriers if row[0] in ("serious", "critical")]
    assert [f"{v.page} ({v.theme}): {rule}: {element}\n{why}" for v, (_, rule, element, why) in serious] == []


def test_both_themes_are_seen(visits):
    light, dark = ({v.background for v in visits if v.theme == theme} for theme in ("light", "dark"))
    assert len(light) == len(dark) == 1
    assert light != dark


def test_a_telephone_does_not_scroll_sideways(visits):
    assert [f"{v.page}: {v.overflow_px} px" for v in visits if v.overflow_px > 0] == []


def test_the_theme_switch(page, folder):
    page.goto((folder / "index.html").as_uri())
    seen = {}
    for mode in ("dark", "light", "dark", "auto"):
        page.get_by_label("Color mode").first.click()
        page.locator(f"button.theme-change-button[data-mode={mode}]").first.click()
        assert page.evaluate("localStorage.getItem('mode')") == mode
        seen[mode] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert seen["dark"] != seen["light"]
    assert seen["auto"] == seen["light"]  # what this browser prefers
    page.locator("button.theme-change-button[data-mode=dark]").first.dispatch_event("click")
    assert page.evaluate("localStorage.getItem('mode')") == "dark"  # stored, before the page is left
    page.goto((folder / "glossary.html").as_uri())  # the choice holds on the next page
    assert page.evaluate("[localStorage.getItem('mode'), document.documentElement.dataset.theme]") == ["dark", "dark"]
    page.wait_for_function("dark => getComputedStyle(document.body).backgroundColor === dark", arg=seen["dark"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("perplexity", "01-metrics/04-entropy-and-divergence.html"),
        ("困惑度", "glossary.html"),
        ("roc_auc_score", "reference/mazelm.metrics.ranking.html"),
    ],
)
def test_search(page, folder, words, found):
    page.goto((folder / "search.html").as_uri() + f"?q={words}")
    page.wait_for_selector("#search-results ul.search li a")
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.includes('finished')")
    links = page.eval_on_selector_all("#search-results ul.search li a", "links => links.map(link => link.href)")
    pages = {Path(unquote(urlparse(link).path)) for link in links}
    assert folder / found in pages
    assert all(path.is_file() for path in pages)


def test_search_from_any_page(page, folder):
    page.goto((folder / "01-metrics" / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("entropy")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=entropy")
    page.wait_for_selector("#search-results ul.search li a")


def test_solutions_open_by_keyboard(page, folder):
    page.goto((folder / "01-metrics" / "01-classification-metrics.html").as_uri())
    boxes = page.locator("article details")
    assert boxes.count() > 0
    first = boxes.first
    assert first.get_attribute("open") is None
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.get_attribute("open") is not None
    page.keyboard.press("Space")
    assert first.get_attribute("open") is None


def test_print(page, folder):
    """On paper there is the text, with its solutions, and no navigation."""
    page.goto((folder / "01-metrics" / "01-classification-metrics.html").as_uri())
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for gone in (".bd-header", ".bd-sidebar-primary", ".bd-sidebar-secondary", ".prev-next-footer", "button.copybtn"):
        assert page.locator(gone).count() > 0, gone
        assert not any(box.is_visible() for box in page.locator(gone).all()), gone
    assert page.locator("article h1").is_visible()
    assert page.locator("article details:not([open])").count() == 0
    assert page.locator("article details pre").first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("article details[open]").count() == 0


def test_downloads(page, folder):
    page.goto((folder / "01-metrics" / "01-classification-metrics.html").as_uri())
    for name in ("01-classification-metrics.ipynb", "01-classification-metrics.md"):
        link = page.locator(f".lesson-facts a.download[href$='{name}']")
        with page.expect_download() as waiting:
            link.click()
        assert waiting.value.suggested_filename == name
        folder_of = "notebooks" if name.endswith("ipynb") else "chapters"
        source = Path(__file__).parents[2] / folder_of / "01-metrics" / name
        assert Path(waiting.value.path()).read_bytes() == source.read_bytes()


def test_copy_buttons(page, folder):
    page.goto((folder / "01-metrics" / "01-classification-metrics.html").as_uri())
    page.wait_for_selector("button.copybtn", state="attached")
    assert page.locator("div.cell_input button.copybtn").count() >= 5


def test_an_animation_plays_when_it_is_asked_to_and_stops(page, folder):
    lesson = next(path for path in sorted(folder.rglob("*.html")) if 'class="play"' in path.read_text())
    page.goto(lesson.as_uri())
    button = page.locator("button.play").first
    picture = button.locator("xpath=preceding-sibling::img")
    still = picture.get_attribute("src")
    assert still.endswith("-still.png")
    assert picture.get_attribute("alt")
    button.focus()
    page.keyboard.press("Enter")
    assert button.inner_text() == "Stop"
    assert picture.get_attribute("src").startswith(still.replace("-still", "") + "?")
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())
    button.click()
    assert (button.inner_text(), picture.get_attribute("src")) == ("Play the animation", still)
