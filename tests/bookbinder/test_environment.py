"""The files that people install from agree with each other, and with what is installed here."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from bookbinder import bootstrap, doctor
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [
    Requirement(line)
    for line in PROJECT["dependencies"]
    + PROJECT["optional-dependencies"]["site"]
    + PROJECT["optional-dependencies"]["test"]
    + PROJECT["optional-dependencies"]["teach"]
    + PROJECT["optional-dependencies"]["bench"]
]
PIN_LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def test_every_constraint_is_one_exact_version_for_every_machine():
    wrong = [line for line in PIN_LINES if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==\d[\d.a-z]*", line)]
    assert wrong == []  # neither a label such as +cpu, nor a marker, nor an address


def test_the_constraints_are_in_order_and_name_each_package_once():
    names = [canonicalize_name(line.split("==")[0]) for line in PIN_LINES]
    assert names == sorted(set(names))


def test_the_constraints_leave_out_what_comes_with_the_environment():
    assert not set(doctor.pinned_versions(ROOT)) & {"pip", "setuptools", "wheel", "mazelm"}


@pytest.mark.parametrize("requirement", DECLARED, ids=lambda requirement: requirement.name)
def test_every_dependency_has_a_pin_within_its_range(requirement):
    pin = doctor.pinned_versions(ROOT)[canonicalize_name(requirement.name)]
    assert Version(pin) in requirement.specifier


@pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
def test_no_pin_refuses_an_early_release_of_a_python_that_the_book_runs_on(python):
    pins = doctor.pinned_versions(ROOT)
    asked = {
        found.name: found.metadata["Requires-Python"]
        for found in distributions()
        if pins.get(canonicalize_name(found.name)) == found.version and found.metadata["Requires-Python"]
    }
    assert len(asked) > 100
    assert {name: text for name, text in asked.items() if python not in SpecifierSet(text)} == {}


def test_the_tool_that_builds_the_package_is_pinned_too():
    requirement = Requirement(tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"][0])
    assert Version(doctor.pinned_versions(ROOT)[requirement.name]) in requirement.specifier


def test_the_extra_all_holds_every_other_extra():
    extras = PROJECT["optional-dependencies"]
    assert Requirement(extras["all"][0]).extras == set(extras) - {"all"}


def test_bootstrap_asks_for_the_pythons_that_the_project_runs_on():
    allowed = SpecifierSet(PROJECT["requires-python"])
    fits = [minor for minor in range(30) if Version(f"3.{minor}.5") in allowed]
    assert ((3, fits[0]), (3, fits[-1])) == (bootstrap.OLDEST, bootstrap.NEWEST)


def test_environment_yml_says_only_what_conda_has_to_know():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment == {
        "name": PROJECT["name"],
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.11",
            "pip",
            {"pip": ["--constraint constraints.txt", "--editable .[all]"]},
        ],
    }
    python = environment["dependencies"][0].removeprefix("python=")
    assert Version(f"{python}.0") in SpecifierSet(PROJECT["requires-python"])


def test_pip_reads_the_lines_of_environment_yml(tmp_path):
    """Conda writes these lines to a file and gives it to `pip install -r`, in the folder of environment.yml."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    (tmp_path / "constraints.txt").write_text((ROOT / "constraints.txt").read_text())
    program = (
        "from pip._internal.network.session import PipSession\n"
        "from pip._internal.req.req_file import parse_requirements\n"
        "for found in parse_requirements('requirements.txt', session=PipSession()):\n"
        "    print(found.constraint, found.is_editable, found.requirement)\n"
    )
    (tmp_path / "read.py").write_text(program)
    answer = subprocess.run([sys.executable, "read.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = answer.stdout.splitlines()
    assert [line for line in found if line.startswith("False")] == ["False True .[all]"]
    assert {line.split()[-1] for line in found if line.startswith("True")} == set(PIN_LINES)


def test_the_citation_file_has_what_its_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["type"] in ("software", "dataset")
    assert all(set(author) == {"name"} for author in citation["authors"])  # an entity, not a person
    assert {"type", "title", "authors"} <= set(citation["preferred-citation"])
    assert " AND ".join(citation["license"]) == PROJECT["license"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda path: path.stem
)
def test_issue_forms_have_what_their_format_requires(path):
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    assert [field["id"] for field in form["body"]] == list(dict.fromkeys(field["id"] for field in form["body"]))
    for field in form["body"]:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
        options = field["attributes"].get("options", [])
        assert bool(options) == (field["type"] in ("dropdown", "checkboxes"))
        assert all(isinstance(option, dict if field["type"] == "checkboxes" else str) for option in options)


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda path: path.stem)
def test_links_between_files_lead_somewhere(path):
    prose = re.sub(r"```.*?```|``.*?``|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_papers_md_names_sources_and_modules_that_exist():
    bibliography = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "site/references.bib").read_text(), re.MULTILINE))
    rows = [row for row in (ROOT / "papers.md").read_text().splitlines() if row.startswith("| `")]
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert len(keys) == len(set(keys)) > 0
    assert set(keys) <= bibliography
    modules = {name for row in rows for name in re.findall(r"`(mazelm[\w.]+)`", row)}
    assert [name for name in modules if not (ROOT / "lib" / f"{name.replace('.', '/')}.py").is_file()] == []


def test_ci_runs_make_test():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "make test"


def test_the_doctor_finds_every_package_as_tested():
    packages = [finding for finding in doctor.examine(ROOT) if finding.name.startswith(("packages", "compiled"))]
    assert [finding.name for finding in packages] == [
        "packages",
        "packages site",
        "packages test",
        "packages teach",
        "compiled packages",
    ]
    assert [finding.detail for finding in packages if not finding.ok] == []


def test_the_doctor_tells_what_is_absent_and_what_is_of_another_version(monkeypatch):
    monkeypatch.setattr(doctor, "COMPILED", "json")
    monkeypatch.setattr(doctor, "installed_version", {"numpy": "0.1", "torch": "2.13.0"}.get)
    finding = next(finding for finding in doctor.examine(ROOT) if finding.name == "packages")
    assert not finding.ok
    assert finding.required
    assert "numpy 0.1 (tested with " in finding.detail
    assert "typer is absent" in finding.detail
    assert "torch" not in finding.detail


def test_the_doctor_says_how_to_get_what_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "COMPILED", "json, no_such_module")
    monkeypatch.setenv("MAZELM_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    findings = {finding.name: finding for finding in doctor.examine(ROOT)}
    assert not findings["browser"].ok
    assert "apt install chromium" in findings["browser"].remedy
    assert not findings["browser"].required
    assert findings["compiled packages"].detail == "ModuleNotFoundError: No module named 'no_such_module'"
    assert not findings["compiled packages"].ok
    assert findings["threads"].detail == "OMP_NUM_THREADS is 8"
    assert not findings["threads"].ok
    assert findings["Python"].ok
