import pytest
from bookbinder.exercises.wording import readable

BIBLIOGRAPHY = """
@book{one1999,
  author = {Platt, John C.},
  title = {Alone},
  year = {1999},
}

@article{two2001,
  author = {Davis, Jesse and Goadrich, Mark},
  year = {2001}
}

@misc{many2020,
  author = {Ada Lovelace and Some One and Other, Any},
  year = {2020},
}

@misc{group2010,
  author = {{The Group}},
  year = {2010},
}
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "references.bib").write_text(BIBLIOGRAPHY)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("0.5 <!-- = half ± 0.1 -->, or 1<!-- = one -->.", "0.5, or 1."),
        ("a {term}`doubling`, {term}`Twice <doubling>`", "a doubling, Twice"),
        ("as {cite:t}`one1999` says", "as Platt (1999) says"),
        ("so {cite:p}`one1999, two2001`.", "so (Platt, 1999; Davis and Goadrich, 2001)."),
        ("{cite:t}`many2020` and {cite:t}`group2010`", "Lovelace et al. (2020) and The Group (2010)"),
        ("$$\nx\n$$ (eq-some-name)\n\nnext", "$$\nx\n$$\n\nnext"),
        ("`{term}` and $x$ stay", "`{term}` and $x$ stay"),
    ],
)
def test_only_the_markup_of_pages_goes(root, text, read):
    assert readable(text, root) == read


def test_a_book_without_a_bibliography_shows_the_key(tmp_path):
    assert readable("{cite:p}`some2000`", tmp_path) == "(some2000, )"
