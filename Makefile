# `make course` runs the course in its smallest size, `make test` checks everything; both set themselves up first.

PYTHON  ?= python3
PROFILE ?= smoke
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/installed
# llinet_lite.course.KERNEL says why.
KERNEL  := --env GOMP_SPINCOUNT 5000 --env MALLOC_MMAP_THRESHOLD_ 4294967296 --env MALLOC_TRIM_THRESHOLD_ 4294967296

export JUPYTER_PREFER_ENV_PATH = 1

.PHONY: help course setup test lint unit hygiene smoke nbval browser lab book bench notebooks fuzz lock clean-safe
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:  ## say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

course: setup  ## set up and run the whole course; PROFILE=smoke (default), laptop, gpu or paper
	$(BIN)/llinet course --profile $(PROFILE)

setup: $(STAMP)  ## install only: a virtual environment in .venv with the locked packages

# Made again when the packages asked for have changed; an unchanged package is not installed twice.
$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one that is, as in 'make setup PYTHON=python3.12'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv $(VENV) || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } || \
	  { rm -rf $(VENV); echo "no virtual environment: install one of the packages python3-venv or virtualenv"; exit 1; }
	@echo "installing the locked packages into $(VENV): about 6.5 GB, a few minutes"
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name "Python 3 (ipykernel)" $(KERNEL)
	@touch $(STAMP)

test: lint unit hygiene smoke nbval browser  ## every check: style, unit tests, notebooks, smoke course, browser
	@echo "== all checks passed"

lint: setup  ## style of the source
	@echo "== style"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: setup  ## unit tests
	@echo "== unit tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadscope --ignore tests/notebooks --ignore tests/browser

hygiene: setup  ## form of the committed notebooks, that the gate finds each fault, and the book made of them
	@echo "== form of the notebooks"
	$(BIN)/python -m pytest -q tests/notebooks/test_gate.py tests/notebooks/test_book.py

smoke: setup  ## the whole course in the smoke profile, each metric within its band
	@echo "== smoke course"
	$(BIN)/python -m pytest -q -s tests/notebooks/test_smoke_course.py

nbval: setup  ## the committed notebooks show what the code gives now
	@echo "== outputs of the committed notebooks"
	$(BIN)/python -m pytest -q -s tests/notebooks/test_nbval_count.py

browser: setup  ## the lessons used in JupyterLab as a reader does; skipped without Chromium or Chrome
	@echo "== lessons in the browser"
	$(BIN)/python -m pytest -q -s -rs tests/browser

lab: setup  ## open the course in JupyterLab
	@echo "building the world of the lessons, if it is not there yet: about a minute on 2 cores, 0.6 GB"
	$(BIN)/llinet world build --profile laptop
	$(BIN)/jupyter lab $$(test "$$(id -u)" != 0 || echo --allow-root) --notebook-dir . notebooks/00_welcome.ipynb

fuzz: setup  ## 10,000 damaged photos, sounds, videos and lists for the importer: about 10 minutes
	LLINET_FUZZ=10000 $(BIN)/python -m pytest -q tests/data/test_strange_files.py -k every_file

book: setup  ## the committed lessons as a book -> runs/book: pages with search, and an EPUB; no network needed
	$(BIN)/sphinx-build -q -W --keep-going -n -b html -c book notebooks runs/book
	$(BIN)/sphinx-build -q -W --keep-going -n -b epub -D html_math_renderer=mathml -c book notebooks runs/book/epub
	@echo "open runs/book/index.html, or runs/book/epub/LookListenandInfer.epub"

bench: setup  ## speed of every stage beside the usual way -> results/bench.json
	$(BIN)/python -m pytest -q tests/bench --benchmark-enable --benchmark-columns mean,ops --benchmark-json results/bench.json

notebooks: setup  ## execute the committed notebooks again, in place, as they stand
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --log-level WARN \
	  --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False \
	  notebooks/[0-9]*.ipynb

lock: setup  ## resolve pyproject.toml again -> requirements.lock
	$(BIN)/python .ci/lock.py

clean-safe:  ## remove caches and built files; keeps .venv, runs and everything that took long to make
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf
