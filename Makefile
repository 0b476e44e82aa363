# make quickstart   set up, then the main job on generated tasks
# make test         set up, then the default tests
# make hf           set up, then the hf extra, which the tests marked hf need
# make tpu          set up, then libtpu, whose compiler `flantune compile` uses; it needs no TPU
# make docs         set up, then the pages of docs/ in build/docs
# make check        formatter, linter and type checker, as .ci/run does
# Another Python: make PYTHON=python3.12 ...

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/installed
INSTALLED_HF := $(VENV)/installed-hf
INSTALLED_TPU := $(VENV)/installed-tpu
INSTALLED_DOCS := $(VENV)/installed-docs

.PHONY: setup hf tpu docs quickstart test check clean

setup: $(INSTALLED)

# pip's errors are shown; its warnings, of mirrors and retries, are not. Only a finished installation leaves the mark, so a broken one is repeated.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "flantune needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Installing into $(VENV): about two minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

hf: $(INSTALLED_HF)

$(INSTALLED_HF): $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,hf]'
	touch $@

tpu: $(INSTALLED_TPU)

$(INSTALLED_TPU): $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,tpu]'
	touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,docs]'
	touch $@

# A warning is an error: a link to nothing, say.
docs: $(INSTALLED_DOCS)
	$(VENV)/bin/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky docs build/docs
	@echo "Open build/docs/index.html."

quickstart: $(INSTALLED)
	launch/local.sh gin/runs/quickstart.gin

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) *.egg-info build/docs docs/generated
