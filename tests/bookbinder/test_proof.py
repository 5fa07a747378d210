"""`make test` runs every step, and its exit status is that of the worst."""

import subprocess
import sys
from pathlib import Path

import pytest
from bookbinder import proof

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ran(monkeypatch):
    """The steps that ran; those named in `fails` fail."""
    commands: list[str] = []
    fails: set[str] = set()

    def run(command: str) -> bool:
        name = next(name for name, step in proof.STEPS.items() if step == command)
        commands.append(name)
        return name not in fails

    monkeypatch.setattr(proof, "run", run)
    return commands, fails


def test_without_names_everything_runs_once_in_order(ran, capsys):
    assert proof.main([]) == 0
    order = ["lint", "format", "types", "tests", "notebooks", "exercises", "check", "claims", "site", "browser"]
    assert ran[0] == order
    printed = capsys.readouterr().out
    assert "[1/10] lint: ruff check" in printed
    assert printed.count("passed") == 10


def test_a_step_that_fails_stops_no_other_and_fails_the_whole(ran, capsys):
    ran[1].add("types")
    assert proof.main(["lint", "types", "tests"]) == 1
    assert ran[0] == ["lint", "types", "tests"]
    printed = capsys.readouterr().out
    assert printed.count("FAILED") == 1
    assert printed.count("passed") == 2


def test_the_browser_does_not_look_at_a_site_that_could_not_be_built(ran, capsys):
    ran[1].add("site")
    assert proof.main(["site", "browser"]) == 1
    assert ran[0] == ["site"]
    assert "not run, because site failed" in capsys.readouterr().out


def test_an_interrupted_proof_is_not_a_proof(monkeypatch, capsys):
    def interrupted(command: str) -> bool:
        if command == proof.STEPS["types"]:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(proof, "run", interrupted)
    assert proof.main([]) == 1
    assert capsys.readouterr().out.count("passed") == 2


def test_an_unknown_step_is_wrong_usage(ran, capsys):
    assert proof.main(["tests", "everything"]) == 2
    assert ran[0] == []
    assert "no step is called everything; there are lint," in capsys.readouterr().err


def test_a_step_succeeds_when_its_program_does():
    assert proof.run("python -c 'import sys; sys.exit(0)'")
    assert not proof.run("python -c 'import sys; sys.exit(3)'")


def test_each_program_is_installed_beside_python():
    programs = {command.split()[0] for command in proof.STEPS.values()}
    assert [name for name in programs if not Path(sys.executable).with_name(name).exists()] == []


def test_the_makefile_names_steps_that_exist():
    makefile = (ROOT / "Makefile").read_text()
    (named,) = [line.split("$(PROVE)")[1].split() for line in makefile.splitlines() if line.startswith("\t@$(PROVE) ")]
    assert set(named) < set(proof.STEPS)


def test_a_worker_whose_report_cannot_be_sent_is_no_success(tmp_path):
    (tmp_path / "conftest.py").write_bytes((ROOT / "conftest.py").read_bytes())
    (tmp_path / "test_it.py").write_text('def test_it():\n    assert "\\ud800" == "b"\n')  # half a character
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "INTERNALERROR" in done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.INTERNAL_ERROR
