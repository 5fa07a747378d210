# Everything that one does with the book. `make` alone lists it.
# The environment (.venv) is made on first use, by the Python that PYTHON names: make book PYTHON=python3.12

PYTHON ?= python3
SETUP = "$(PYTHON)" lib/bookbinder/bootstrap.py
BIN = .venv/bin
PROVE = $(BIN)/python -m bookbinder.proof

# One thread each: a second one that waits for a busy core makes small work many times slower.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export PYTHONHASHSEED = 0
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup book test check notebooks site bench clean

help:  ## list these targets
	@echo "From Maze to Language Model"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "New here? make book, then open the page that it names."

book: setup  ## everything to read: run what changed, check, build the HTML book, say where it is
	@echo "[1/3] running the lessons that changed" && $(BIN)/book run
	@echo "[2/3] checking text, numbers and notebooks" && $(BIN)/book check
	@echo "[3/3] building the HTML book" && $(BIN)/book build

test:  ## prove everything that the book claims: style, types, tests, notebooks, claims, the site in a browser
	@$(SETUP) --browser
	@$(PROVE)

check: setup  ## the quick part of make test, for daily work
	@$(PROVE) lint format types fast exercises check claims

notebooks: setup  ## run the lessons that changed
	@$(BIN)/book run

site: setup  ## build the HTML book from the stored outputs
	@$(BIN)/book build

bench: setup  ## measure speed beside the peers
	@for file in bench/*.py; do $(BIN)/python "$$file" || exit 1; done

clean:  ## remove what was built; .venv and the notebooks stay
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

setup:
	@$(SETUP)
