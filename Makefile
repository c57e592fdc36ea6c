# Everything a clone needs, with python3, make and the package registries only. A warm `make setup` is a look at two stamps.
PYTHON ?= python3
PY := .venv/bin/python
UV := sh .ci/uv
STEP := sh .ci/step
MINUTES ?= 60
KILLS ?= 50
LONG_FORMS := tests/unit/link tests/figures/test_accuracy.py tests/integration/test_foreign_adapters.py tests/e2e/test_every_page.py \
	tests/e2e/test_few_and_many_beds.py tests/e2e/test_fibrillation_on_the_page.py tests/e2e/test_local_page.py \
	tests/integration/test_demo_faults.py tests/integration/test_device_commands.py tests/integration/test_updates.py tests/unit/release/test_launch.py
RUN := .venv/.stamps/run
DEV := .venv/.stamps/dev
PROTO := .venv/.stamps/protobuf
NPM := wardlink/web/static/vendor/uplot.js

.PHONY: help setup demo test soak figures docs pictures lock clean
help:
	@echo "make demo     a ward from recorded signals to the nurse's page (ARGS=... are passed on)"
	@echo "make test     everything CI runs"
	@echo "make soak     faults injected for an hour, with load, then the long form of tests, into build/soak.log (MINUTES=60 KILLS=50 ARGS=...)"
	@echo "make figures  what the product measures (ONLY=id,... LONG=1)"
	@echo "make docs     the documentation as pages, in build/docs"
	@echo "make pictures those of the docs anew, as the browser tests have taken them last"
	@echo "make setup    the virtual environment; make lock: its versions anew; make clean: away with what was made"

setup: $(DEV) $(PROTO) $(NPM)
	@:

demo: $(RUN) $(PROTO) $(NPM)
	@exec .venv/bin/wardlink demo $(ARGS)

test: setup
	@$(PY) -m tests.checks $(ARGS)

soak: setup
	@mkdir -p build
	@bash -o pipefail -c '$(PY) -m tests.faults --minutes $(MINUTES) --kills $(KILLS) --load $(ARGS) 2>&1 | tee build/soak.log'
	@bash -o pipefail -c 'WARDLINK_LONG=1 $(PY) -m pytest -q $(LONG_FORMS) 2>&1 | tee -a build/soak.log'

figures: setup
	@$(PY) -m tests.figures $(if $(ONLY),--only $(ONLY)) $(if $(LONG),--long)

docs: setup
	@$(STEP) "documentation" env NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

pictures:
	@for shown in docs/pictures/*.png; do cp -v "build/pictures/$${shown##*/}" "$$shown" || exit 1; done

.venv/.stamps/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python lacks venv: install python3-venv" >&2; exit 1; }
	@$(STEP) "virtual environment" $(PYTHON) -m venv .venv
	@$(STEP) "uv" .venv/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.txt
	@mkdir -p .venv/.stamps && touch $@

$(RUN): requirements/run.txt pyproject.toml .venv/.stamps/uv
	@$(STEP) "packages to run" $(UV) pip install -q --require-hashes -r requirements/run.txt
	@$(STEP) "wardlink itself" $(UV) pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.txt $(RUN)
	@$(STEP) "packages to develop" $(UV) pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

$(PROTO): $(wildcard protocols/*.proto) protocols/generate.py $(RUN)
	@$(STEP) "protobuf modules" $(PY) -m protocols.generate
	@touch $@

$(NPM): wardlink/web/package-lock.json $(RUN)
	@$(STEP) "JavaScript parts" .venv/bin/wardlink stack javascript
	@touch $@

COMPILE = $(UV) pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
lock: .venv/.stamps/uv
	@$(STEP) "dev" sh -c '$(COMPILE) --extra dev -o requirements/dev.txt pyproject.toml'
	@$(STEP) "run" sh -c '$(COMPILE) -c requirements/dev.txt --extra edge --extra hub --extra recordings --extra setup -o requirements/run.txt pyproject.toml'
	@$(STEP) "edge" sh -c '$(COMPILE) -c requirements/dev.txt --extra edge -o requirements/edge.txt pyproject.toml'
	@$(STEP) "hub" sh -c '$(COMPILE) -c requirements/dev.txt --extra hub -o requirements/hub.txt pyproject.toml'
	@$(STEP) "bootstrap" sh -c 'echo uv | $(COMPILE) -c requirements/dev.txt -o requirements/bootstrap.txt -'
	@! grep -nE '://|file:|--(extra-)?index|--find-links' requirements/*.txt

clean:
	rm -rf .venv build dist wardlink/web/node_modules .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -f protocols/*_pb2.py protocols/*_pb2.pyi
