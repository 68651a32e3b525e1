# Two commands for a fresh machine: `make run` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV ?= .venv
TEST_VENV ?= .venv-test
WORKERS ?= 2
OUT ?= geneb-demo

.PHONY: run test sweep lint format wheel clean

run: $(VENV)/installed
	$(VENV)/bin/geneb-jax run --out $(OUT)

test: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m pytest -n $(WORKERS)

# Long parity, property and fault sweeps: not part of `make test`.
sweep: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m pytest -n $(WORKERS) -m sweep --timeout 3600

lint: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/lint-imports
	$(TEST_VENV)/bin/python .ci/module_sizes.py

format: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/ruff check --fix .
	$(TEST_VENV)/bin/ruff format .

wheel: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m build --wheel --outdir dist .

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV): some 300 MB to download, once"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@

$(TEST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV) build dist
