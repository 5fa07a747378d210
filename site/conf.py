"""Sphinx configuration of the HTML book.

It is copied, with everything beside it, to _build/site-src, where `book build` also puts the lessons and the pages that
it derives. `book.json`, which it finds there, says what comes from book.toml: title, authors, numbers of the lessons.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

HERE = Path(__file__).resolve().parent
BOOK = json.loads((HERE / "book.json").read_text(encoding="utf-8"))
sys.path.insert(0, str(HERE.parents[1] / "lib"))  # the reference describes this tree's library

project = html_title = BOOK["title"]
author = ", ".join(BOOK["authors"])
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["downloads"]
nitpick_ignore_regex = [("py:.*", ".*")]  # the types in a signature are text, not links

# Lessons: the stored outputs, and nothing is executed.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Numbers, citations and mathematics, without a server for any of them.
numfig = True
math_numfig = True
math_eqref_format = "({number})"
html_secnumber_suffix = " "
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year_round"
html_math_renderer = "mathjax"
mathjax_path = "mathjax3/tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}  # the menu offers what would have to be fetched

# The library.
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 60
add_module_names = False
highlight_language = "none"  # a literal block is an equation, not code

# The page.
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["book-contents"]}
html_show_search_summary = False  # excerpts are fetched, which fails from a file
html_copy_source = False
html_extra_path = ["extra"]
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "logo": {"text": BOOK["title"], "image_light": "_static/favicon.svg", "image_dark": "_static/favicon.svg"},
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "primary_sidebar_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["book-footer"],
    "footer_end": [],
    "back_to_top_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark",
    "search_bar_text": "Search the book",
}
copybutton_selector = "div.cell_input pre, div.text_markdown pre, div.highlight-bash pre, div.highlight-python pre"

ROUND = BracketStyle(left="(", right=")")


@dataclass
class RoundBrackets(AuthorYearReferenceStyle):
    """Fawcett (2006) and (Fawcett, 2006), where the extension would write square brackets."""

    bracket_textual: BracketStyle = field(default_factory=lambda: ROUND)
    bracket_parenthetical: BracketStyle = field(default_factory=lambda: ROUND)


register_plugin("sphinxcontrib.bibtex.style.referencing", "author_year_round", RoundBrackets)
_FIELD_OF_TUPLE = re.compile(r"Alias for field number \d+")
_PUNCTUATED = re.compile(r'(<span class="math notranslate nohighlight">[^<]*</span>[,.;:!?)]+)')
_SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
_PICTURE = re.compile(r'<img [^>]*?src="(?P<src>[^":]+\.png)"[^>]*>')
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?):$")


def setup(app: Sphinx) -> None:
    """Connect what no setting offers."""
    app.set_html_assets_policy("always")  # or titles in the navigation show raw formulas on pages without any
    app.connect("autodoc-skip-member", is_field_of_tuple)
    app.connect("autodoc-process-docstring", read_docstring, priority=400)  # napoleon comes at 500
    app.connect("env-get-updated", number_lessons, priority=900)  # Sphinx's own numbers come at 500
    app.connect("html-page-context", mend_page)


def is_field_of_tuple(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool:
    """Leave out the fields of a named tuple, which its signature shows already."""
    return skip or bool(_FIELD_OF_TUPLE.fullmatch(getattr(obj, "__doc__", None) or ""))


def read_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn a docstring of the house style into reStructuredText: indented equations stand as they are written."""
    lines[:] = list(_of_markdown(lines) if any(line.startswith("## ") for line in lines) else _restructured(lines))


def _of_markdown(lines: list[str]) -> Iterator[str]:
    """A docstring with the sections of Gymnasium's environments, which are Markdown: titles, lists, tables, code."""
    table = fenced = False
    for line in lines:
        cells = [_escaped(cell.strip()) for cell in line.strip().strip("|").split("|")]
        if line.startswith("```"):
            yield from ("", "" if fenced else "::", "")
            fenced = not fenced
        elif fenced:
            yield f"    {line}"
        elif line.startswith("## "):
            yield from ("", f".. rubric:: {line[3:]}", "")
        elif line.startswith("|") and not table:
            table = True
            yield from ("", ".. list-table::", "   :header-rows: 1", "", *_row(cells))
        elif line.startswith("|"):
            yield from () if set(line) <= set("|-: ") else _row(cells)
        else:
            table = False
            yield _escaped(line)


def _row(cells: list[str]) -> Iterator[str]:
    """One row of a table that is written as a list of lists."""
    for i, cell in enumerate(cells):
        yield f"   {'  ' if i else '* '}- {cell}"


def _restructured(lines: list[str]) -> Iterator[str]:
    """The lines with code markup, and with each indented block before the first section made a literal one."""
    in_section = literal = False
    for before, line in zip(["", *lines], lines, strict=False):
        in_section = in_section or bool(_SECTION.match(line))
        if line.startswith("Source: "):
            in_section = False
            yield from (".. rst-class:: source", "")
        indented = line.startswith("    ") and not in_section
        if indented and not literal and not before.strip():
            yield from ("::", "")
            literal = True
        literal = literal and (indented or not line.strip())
        yield line if literal else _escaped(line)


def _escaped(line: str) -> str:
    """A line in which `code` is a literal and no other character means anything."""
    parts = re.split(r"(`[^`]+`)", line)
    code = (f"`{part}`" for part in parts[1::2])
    text = [re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", r"\\\1\2", part) for part in parts[::2]]
    return "".join(a + b for a, b in zip(text, [*code, ""], strict=True))


def number_lessons(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Number chapters, lessons, figures and equations as book.toml does; Sphinx would begin again in every part."""
    for name in env.found_docs & set(BOOK["numbers"]):
        number = tuple(BOOK["numbers"][name])
        env.titles[name]["secnumber"] = number
        env.toc_secnumbers[name] = {}
        for reference in env.tocs[name].findall(lambda node: node.tagname == "reference"):
            own = number if reference.get("refuri") == name and not reference["anchorname"] else None
            reference["secnumber"] = own
            env.toc_secnumbers[name][reference["anchorname"]] = own or ()
    TocTreeCollector().assign_figure_numbers(env)
    return []  # every page is written in any case


def mend_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Mend the page: roles that mislead a screen reader, lists of definitions without a term, commas that go astray."""
    body = context.get("body", "").replace(' role="doc-biblioentry"', "").replace(' role="list"', "")
    body = _SIGNATURE.sub(lambda match: re.sub(r"(</?)d[ld]>", r"\1div>", match[0]), body)
    body = _PUNCTUATED.sub(r'<span class="unbroken">\1</span>', body)
    context["body"] = _PICTURE.sub(lambda match: _standing(match, pagename, app), body)


def _standing(picture: re.Match[str], pagename: str, app: Sphinx) -> str:
    """An animated picture as one that stands still, and a button that plays it (book.js)."""
    moving = Path(app.outdir, pagename).parent / picture["src"]
    source = next((Path(app.srcdir, path) for path, (_, name) in app.env.images.items() if name == moving.name), None)
    if source is None or not getattr(image := Image.open(source), "is_animated", False):
        return picture[0]
    still = moving.with_stem(f"{moving.stem}-still")
    still.parent.mkdir(parents=True, exist_ok=True)
    image.save(still)  # the first picture of the file, which is not part of the animation
    milliseconds = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(image)][1:]
    seconds = image.info["loop"] * sum(milliseconds) / 1000
    shown = picture[0].replace(picture["src"], picture["src"].replace(moving.name, still.name))
    button = f'data-moving="{picture["src"]}" data-seconds="{seconds:.1f}">Play the animation'
    return f'{shown}<button class="play" type="button" {button}</button>'
