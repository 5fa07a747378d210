"""The lines that hold the house together: who may import whom, and what no file may say."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from bookbinder.manifest import load_book
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
PACKAGES = ["common", *(name for chapter in load_book(ROOT).chapters for name in chapter.packages)]
ENVS = ROOT / "envs"
OF_ALGORITHMS = {"numpy", "scipy", "torch", "gymnasium", "jaxtyping", "einops", "safetensors", "PIL"}  # what it may use
OF_MAZES = {"numpy", "gymnasium", "jaxtyping"}
OF_COMMON = {"matplotlib", "cycler", "IPython"}  # figures and displays, which only mazelm.common makes


def modules(package: str) -> list[Path]:
    root = ENVS if package == "mazes" else LIB
    return sorted((root / package).rglob("*.py"))


def imports(source: str) -> set[str]:
    """The full names of the modules that a source imports, at whatever depth it does so."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def outsiders(source: str) -> set[str]:
    """The top-level packages that a source imports and that are neither Python's own nor of this repository."""
    return (
        {name.split(".")[0] for name in imports(source)} - sys.stdlib_module_names - {"mazelm", "bookbinder", "mazes"}
    )


def tracked() -> Iterator[tuple[str, str]]:
    """Each text file of the repository, as git knows it (also what is about to be added), with its content."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        data = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in data:
            yield name, data.decode()


def test_imports_are_found_wherever_they_stand():
    assert imports("import a.b\ndef f():\n    from c import d, e") == {"a.b", "c.d", "c.e"}
    assert outsiders("import os, numpy.linalg\nfrom mazelm.common import claims") == {"numpy"}


@pytest.mark.parametrize("path", modules("bookbinder"), ids=lambda path: path.stem)
def test_bookbinder_knows_neither_the_algorithms_nor_the_mazes(path):
    assert not {name for name in imports(path.read_text()) if name.split(".")[0] in ("mazelm", "mazes")}


@pytest.mark.parametrize("path", modules("mazelm"), ids=lambda path: str(path.relative_to(LIB)))
def test_an_algorithm_stands_on_few_packages_and_never_on_the_machinery(path):
    source = path.read_text()
    assert not {name for name in imports(source) if name.split(".")[0] in ("bookbinder", "mazes")}
    allowed = OF_ALGORITHMS | OF_COMMON if path.is_relative_to(LIB / "mazelm/common") else OF_ALGORITHMS
    assert outsiders(source) <= allowed


@pytest.mark.parametrize("path", modules("mazes"), ids=lambda path: path.stem)
def test_the_mazes_know_neither_the_algorithms_nor_the_machinery(path):
    source = path.read_text()
    assert not {name for name in imports(source) if name.split(".")[0] in ("bookbinder", "mazelm")}
    assert outsiders(source) <= OF_MAZES


def test_tables_and_mazes_do_without_torch():
    names = [path.relative_to(LIB).with_suffix("").as_posix().replace("/", ".") for path in modules("mazelm/tabular")]
    imported = ", ".join(sorted({name.removesuffix(".__init__") for name in names} | {"mazes"}))
    command = [sys.executable, "-c", f"import sys, {imported}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, check=False).returncode == 0  # a second of start less for each lesson


def test_what_an_algorithm_stands_on_is_in_the_base_install():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = {"IPython", "cycler"}  # by ipykernel and matplotlib, which do not work without them
    base = {Requirement(line).name for line in project["dependencies"]} | brought
    used = {name for path in modules("mazelm") for name in outsiders(path.read_text())}
    assert {"pillow" if name == "PIL" else name for name in used} <= base


def test_every_package_of_the_library_is_introduced_by_one_chapter():
    folders = {path.name for path in (LIB / "mazelm").iterdir() if (path / "__init__.py").is_file()}
    assert sorted(PACKAGES) == sorted(folders)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_from_earlier_ones(package):
    may = set(PACKAGES[: PACKAGES.index(package) + 1])
    names = {name for path in modules(f"mazelm/{package}") for name in imports(path.read_text())}
    assert {name.split(".")[1] for name in names if name.startswith("mazelm.")} <= may


@pytest.mark.parametrize("path", sorted(LIB.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_a_package_s_own_file_is_one_sentence(path):
    (only,) = ast.parse(path.read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)
    assert len(only.value.value.splitlines()) == 1


@pytest.mark.parametrize("path", modules("mazelm"), ids=lambda path: str(path.relative_to(LIB)))
def test_shapes_in_signatures_are_real_annotations(path):
    assert "__future__.annotations" not in imports(path.read_text())


def lines_of_code(source: str) -> int:
    """How many lines hold code: blank lines, comments and docstrings do not count."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = enumerate(source.splitlines(), start=1)
    return sum(1 for number, line in lines if line.strip() and line.strip()[0] != "#" and number not in docstrings)


def test_bookbinder_and_its_exercises_stay_small():
    assert lines_of_code('"""Two\nlines."""\n\n# a comment\nx = """\n"""  # another\n') == 2
    exercises = sum(lines_of_code(path.read_text()) for path in modules("bookbinder/exercises"))
    assert exercises < 2200
    assert sum(lines_of_code(path.read_text()) for path in modules("bookbinder")) - exercises < 2000


def test_bootstrap_can_be_read_by_old_pythons_and_needs_nothing_installed():
    source = (LIB / "bookbinder/bootstrap.py").read_text()
    ast.parse(source, feature_version=(3, 8))
    assert outsiders(source) == set()
    assert not {name for name in imports(source) if name.startswith("bookbinder")}


def test_no_file_names_a_path_of_somebody_s_machine():
    pattern = re.compile(r"(?<![\w.:/-])/(home|Users|root|work)/(?!someone/)[\w.-]+/|\b[A-Z]:\\Users\\")
    assert pattern.search("see " + "/home" + "/me/x")  # the pattern itself is sound
    assert not pattern.search("https://example.org/home/me/, and /home/someone/, who is nobody")
    assert [(name, match[0]) for name, text in tracked() if (match := pattern.search(text))] == []


def test_no_file_names_the_host_of_a_package_index():
    hosts = [("pypi", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org")]
    hosts += [("download", "pytorch", "org"), ("conda", "anaconda", "org"), ("deb", "debian", "org")]
    pattern = re.compile("|".join(r"\.".join(parts) for parts in hosts))
    assert pattern.search(".".join(hosts[0]))
    assert [(name, match[0]) for name, text in tracked() if (match := pattern.search(text))] == []


def test_every_test_folder_mirrors_one_of_the_library():
    kinds = {"parity", "site"}  # against other libraries, and in a browser
    folders = {path.parent.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert {folder for folder in folders - kinds if not any((root / folder).is_dir() for root in (LIB, ENVS))} <= {"."}
