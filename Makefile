# Everything runs from .venv, which the first target that needs it makes.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench quality clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## filter a sample photo
	@mkdir -p out
	$(BIN)/convcli convolve sample_images/coffee.png -k sobel-x -k sobel-y --combine magnitude -f -o out/edges.png
	@echo "the result is in out/edges.png"

test: $(STAMP)  ## run all tests, with branch coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term

check: $(STAMP)  ## lint and check types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## measure speed against other libraries and programs, as ratios
	$(BIN)/python tests/bench.py

quality: $(STAMP)  ## measure how well blurs are undone, and check it against thresholds
	$(BIN)/python tests/quality

clean:  ## remove what make made
	rm -rf .venv out build *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
