# Two commands for a fresh machine: `make run` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV ?= .venv
TEST_VENV ?= .venv-test
COMPILED_VENV ?= .venv-compiled
DOCS_VENV ?= .venv-docs
WORKERS ?= 2
OUT ?= geneb-demo

.PHONY: run test sweep fuzz soak audit matrix docs docs-wheel compiled compiled-all lint format wheel clean

run: $(VENV)/installed
	$(VENV)/bin/geneb-jax run --out $(OUT)

test: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m pytest -n $(WORKERS)

# Long parity, property and fault sweeps: not part of `make test`.
sweep: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m pytest -n $(WORKERS) -m sweep --timeout 3600

# The core of the suite and the demo: Python 3.11, 3.12, 3.13, newest and oldest dependencies.
matrix:
	.ci/matrix

# The site, into build/site; a dead link or anchor is an error.
docs: $(DOCS_VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "open build/site/index.html"

# Every block of every page and the notebooks as a user runs them: the wheel in an environment of its
# own, from folders that know nothing of this checkout. MARK=sweep: the long blocks, too.
DOCS_WHEEL_VENV ?= .venv-docs-wheel
MARK ?= not sweep
docs-wheel: wheel
	$(PYTHON) -m venv --clear $(DOCS_WHEEL_VENV)
	$(DOCS_WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  "$$(ls -t dist/*.whl | head -n 1)[cluster,export,formats]" scikit-learn
	GENEB_JAX_DOCS_PYTHON=$(abspath $(DOCS_WHEEL_VENV))/bin/python \
	  $(TEST_VENV)/bin/python -m pytest -n $(WORKERS) -m "$(MARK)" --timeout 3600 tests/docs

# Damaged files for every reader: INPUTS a target; findings go to fuzz-findings/.
INPUTS ?= 100000
fuzz: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -m tests.fuzz --inputs $(INPUTS)

# A whole small run under random faults, again and again; the log says what was done to each.
ROUNDS ?= 200
soak: $(TEST_VENV)/installed
	$(TEST_VENV)/bin/python -W ignore -m tests.fault.soak --rounds $(ROUNDS) --log soak.jsonl

# Known vulnerabilities of what is installed, asked of PyPI; a package that it skips was not audited.
AUDIT_VENV ?= .venv-audit
audit: $(TEST_VENV)/installed
	test -x $(AUDIT_VENV)/bin/pip-audit || $(PYTHON) -m venv $(AUDIT_VENV)
	$(AUDIT_VENV)/bin/python -m pip install --quiet pip-audit
	$(AUDIT_VENV)/bin/pip-audit --strict --skip-editable --path \
	  $$($(TEST_VENV)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

# Compile for an H100 and a TPU without one: a few programs, or all of them (a quarter of an hour).
compiled: $(COMPILED_VENV)/installed
	$(COMPILED_VENV)/bin/python -m pytest -m "compiled and not sweep" tests/compiled

compiled-all: $(COMPILED_VENV)/installed
	$(COMPILED_VENV)/bin/python -m bench.compiled

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
	rm -rf build/lib  # what was there before and is no more would be in the wheel
	$(TEST_VENV)/bin/python -m build --wheel --outdir dist .

$(VENV)/installed: pyproject.toml
	@echo "installing into $(VENV), once: 54 packages, some 190 MB to download, 750 on the disk;"
	@echo "pip says below what it downloads. The demo after it needs no network."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check --no-compile --editable .
	touch $@

$(TEST_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet --editable '.[test]'
	touch $@

$(DOCS_VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet $$($(PYTHON) -c \
	  "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	touch $@

# The test environment and the compilers, apart from it: a CUDA plugin makes every start of JAX on a
# machine without a GPU complain.
$(COMPILED_VENV)/installed: $(TEST_VENV)/installed
	$(PYTHON) -m venv $(COMPILED_VENV)
	below=$$($(TEST_VENV)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
	site=$$($(COMPILED_VENV)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
	echo "import site; site.addsitedir('$$below')" > $$site/below.pth
	jaxlib=$$($(TEST_VENV)/bin/python -c "import jaxlib; print(jaxlib.__version__)"); \
	$(COMPILED_VENV)/bin/python -m pip install --quiet jax-cuda12-plugin==$$jaxlib \
	  jax-cuda12-pjrt==$$jaxlib nvidia-cuda-nvcc-cu12 libtpu
	touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV) $(COMPILED_VENV) $(DOCS_VENV) $(DOCS_WHEEL_VENV) $(AUDIT_VENV) .venv-matrix build dist
