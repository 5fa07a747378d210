"""The exercises on the pages of their lessons: folded, operable by keyboard, printed in an appendix, without checks."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bookbinder.exercises.audit import leaked
from bookbinder.exercises.source import Exercise, read_all
from bookbinder.manifest import find_root, load_book

ROOT = find_root(Path(__file__))
LESSON = "01-metrics/01-classification-metrics.html"
STRUCTURE = (
    "[...document.querySelector('article').querySelectorAll('*')].map((part) => part.tagName + part.id).join(' ')"
)
SHOWN = "(boxes) => boxes.map((box) => box.checkVisibility({ contentVisibilityAuto: true }))"


class Reader(HTMLParser):
    """Collects what a page says, line by line, also where it is folded or in a script."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def exercises() -> list[Exercise]:
    return read_all(load_book(ROOT))


@pytest.fixture(scope="module")
def texts(html) -> dict[str, str]:
    found = {}
    for path in sorted(set(html.rglob("*.html")) - set((html / "_static").rglob("*"))):
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        found[path.relative_to(html).as_posix()] = reader.text
    return found


@pytest.fixture
def lesson(page, folder):
    """A lesson that was just opened."""
    page.goto((folder / LESSON).as_uri())
    return page


def pages_of(exercise: Exercise) -> str:
    return f"{exercise.sheet.chapter}/{exercise.lesson}.html"


@pytest.mark.browser
def test_everything_is_folded_until_someone_opens_it(lesson, exercises):
    own = [exercise for exercise in exercises if pages_of(exercise) == LESSON]
    hints = sum(len(exercise.of("hint")) for exercise in own)
    assert lesson.locator("details.fold.hint").count() == hints > 0
    assert lesson.locator("details.fold.solution").count() == sum(1 + exercise.written for exercise in own)
    assert lesson.locator("details.fold[open]").count() == 0
    assert not any(lesson.eval_on_selector_all("details.fold > :not(summary)", SHOWN))
    assert all(lesson.eval_on_selector_all("details.fold > summary", SHOWN))


@pytest.mark.browser
def test_a_solution_opens_by_keyboard(lesson):
    box = lesson.locator("details.solution").nth(2)
    summary = box.locator("summary")
    summary.press("Tab")  # leaves it, and comes back
    lesson.keyboard.press("Shift+Tab")
    assert summary.evaluate("(summary) => document.activeElement === summary")
    lesson.keyboard.press("Enter")
    assert box.locator("pre").first.is_visible()
    lesson.keyboard.press("Space")
    assert not box.locator("pre").first.is_visible()


@pytest.mark.browser
def test_cells_stay_cells(lesson):
    """Code can be copied, also where it is folded, and what it printed stands below it."""
    lesson.wait_for_selector("button.copybtn", state="attached")
    assert lesson.locator("section[id^=metrics-] > .cell .cell_input button.copybtn").count() > 0  # stubs
    solutions = lesson.locator("details.solution")
    assert solutions.locator(".cell_input button.copybtn").count() > 0
    assert solutions.locator(".cell_output pre").count() > 0


@pytest.mark.browser
def test_stars_have_a_name(lesson):
    assert lesson.get_by_role("img", name="two stars of three").count() > 0


@pytest.mark.browser
def test_figures_of_solutions_are_numbered_and_described(page, folder):
    page.goto((folder / "01-metrics" / "03-detection-metrics.html").as_uri())
    figure = page.locator("details.solution figure")
    assert figure.locator(".caption-number").evaluate("(label) => label.textContent").startswith("Fig. 1.")
    assert (figure.locator("img").get_attribute("alt") or "").strip()


@pytest.mark.browser
def test_print_puts_the_solutions_into_an_appendix(lesson, exercises):
    before = lesson.evaluate(STRUCTURE)
    lesson.emulate_media(media="print")
    for _ in range(2):  # a browser may ask twice
        lesson.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    own = [exercise for exercise in exercises if pages_of(exercise) == LESSON]
    appendix = lesson.locator("article section.appendix")
    assert appendix.count() == 1
    assert appendix.evaluate("(part) => part === part.closest('article').lastElementChild")
    assert appendix.locator("h2").inner_text() == "Appendix: solutions"
    titles = [f"Exercise {number}: {exercise.title}" for number, exercise in enumerate(own, start=1)]
    assert appendix.locator("h3").all_inner_texts() == titles
    assert lesson.locator("article details.solution").count() == appendix.locator("details.solution").count()
    assert all(lesson.eval_on_selector_all(".appendix .cell pre", SHOWN))
    assert all(lesson.eval_on_selector_all(".exercise-facts", SHOWN))
    assert not any(lesson.eval_on_selector_all("details.hint, details.hint *", SHOWN))
    assert lesson.evaluate(f"{STRUCTURE}") != before
    for _ in range(2):
        lesson.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert lesson.evaluate(STRUCTURE) == before
    assert lesson.locator("article details[open]").count() == 0


@pytest.mark.browser
def test_the_printer_gets_the_appendix(lesson):
    """What is dispatched above is what the browser itself dispatches."""
    before = lesson.evaluate(STRUCTURE)
    lesson.evaluate(
        "addEventListener('beforeprint', () => { window.sent = document.querySelector('.appendix').innerText; })"
    )
    lesson.pdf()
    assert "Exercise 1" in lesson.evaluate("window.sent")
    assert lesson.evaluate(STRUCTURE) == before


@pytest.mark.browser
def test_the_notebook_of_exercises_is_downloaded(lesson):
    with lesson.expect_download() as waiting:
        lesson.locator("#exercises a.download", has_text="notebook of exercises").click()
    assert waiting.value.suggested_filename == "exercises.ipynb"
    source = ROOT / "notebooks" / "01-metrics" / "exercises.ipynb"
    assert Path(waiting.value.path()).read_bytes() == source.read_bytes()


def test_each_exercise_is_on_the_page_of_its_lesson(texts, exercises):
    for exercise in exercises:
        text = texts[pages_of(exercise)]
        assert re.search(rf"Exercise \d: {re.escape(exercise.title)}", text)
        assert exercise.id in text


def test_nothing_of_checks_and_mutants_is_on_any_page(texts, exercises):
    files = [*ROOT.glob("chapters/*/*.md"), *ROOT.glob("lib/mazelm/**/*.py")]
    printed = [path.read_text(encoding="utf-8") for path in files]
    printed += [code for one in exercises for code in (one.solution, *one.texts("show"))]
    public = {" ".join(line.split()) for text in printed for line in text.splitlines()}
    found = {
        (name, one.id, line)
        for one in exercises
        for name, text in texts.items()
        for line in leaked(one, text, solution=False) - public  # a mutant may share a line with a lesson
    }
    assert found == set()


def test_the_page_of_exercises_links_to_each(html, exercises):
    page = (html / "exercises.html").read_text(encoding="utf-8")
    for exercise in exercises:
        anchor = re.sub(r"[._]", "-", exercise.id)
        assert f'href="{pages_of(exercise)}#{anchor}"' in page
        killed = len(exercise.mutants)
        assert exercise.written or f"{killed} of {killed}" in page


def test_what_is_folded_holds_no_heading(html):
    """A heading would begin a section in the middle of it, and the fold would end where the section does."""
    for path in html.glob("0*/*.html"):
        for inside in re.findall(r"<details class=\"fold.*?</details>", path.read_text(encoding="utf-8"), re.DOTALL):
            assert "<section" not in inside, path.name
