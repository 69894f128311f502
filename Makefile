VENV ?= .venv
STAMP = $(VENV)/.set-up
export HF_HUB_DISABLE_PROGRESS_BARS = 1

.PHONY: help setup serve test check docs smoke browser clean

help:
	@echo "make serve   run the service on http://127.0.0.1:8000 with a small model for CPUs"
	@echo "make test    run the test suite"
	@echo "make check   format, lint, types, Dockerfile, compose file"
	@echo "make docs    renew the generated tables in docs/"
	@echo "make smoke   every stage of training/recipes/smoke.yaml, from the data that it names"
	@echo "make setup   only what the others need first (PYTHON=python3.12 picks an interpreter)"
	@echo "make browser what the tests of the page need besides: Chromium, axe-core, TypeScript"
	@echo "make clean   remove the virtual environment; converted models stay in the user's cache"

setup: $(STAMP)

$(STAMP): requirements/setup.sh requirements/cpu.txt requirements/cpu-wheels.txt requirements/dev.txt requirements/dev-wheels.txt requirements/training.txt pyproject.toml
	@requirements/setup.sh $(VENV)
	@touch $@

serve: $(STAMP)
	@exec $(VENV)/bin/reviewer serve

test: export HF_HUB_OFFLINE = 1
test: $(STAMP)
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadgroup $(PYTEST_ARGS)

check: $(STAMP)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

docs: $(STAMP)
	$(VENV)/bin/python -m docs.generate

# A finished stage is skipped, one that was killed goes on.
smoke: export HF_HUB_OFFLINE = 1
smoke: $(STAMP)
	PYTHON=$(VENV)/bin/python training/rebuild.sh training/recipes/smoke.yaml

browser:
	@requirements/browser.sh

clean:
	rm -rf $(VENV)
