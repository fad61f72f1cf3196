# make run    train, judge and explain conv4 on the embedded phantoms
# make test   run the tests
# make test-fast  run those that take less than ten seconds each
# make test-all   run the tests with every architecture, and long fuzzing
# make lint   ruff, mypy and import-linter
# make settings  write docs/settings.md from the declared settings
# make gpu-check  see whether this machine's GPUs, or its CPU, train as they should: minutes
# make seeds  conv4 from twenty seeds, in many set-ups: most of an hour
# make fuzz   a million mutated PNG files, with sanitizers, and 100,000 of each other format: half an
#             hour

PYTHON ?= python3
BIN := .venv/bin
# A process for each core, each with one thread: more would wait for one another. Tests of a module
# stay together, since they share what its fixtures trained.
PYTEST = OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	$(BIN)/python -m pytest -n auto --dist loadfile
SOURCES := pyproject.toml setup.py $(wildcard mura_core/imaging/*.pyx mura_core/imaging/*.pxd mura_core/imaging/*.h \
	mura_core/imaging/png/*.pyx mura_core/imaging/png/*.h)

.PHONY: run test test-fast test-all lint settings gpu-check seeds fuzz clean

run: .venv/installed
	@echo "==> mura-run --model conv4 --explain gradcam"
	@$(BIN)/mura-run --model conv4 --explain gradcam

test: .venv/installed-dev
	@echo "==> Running the tests"
	@$(PYTEST) -m "not exhaustive"

test-fast: .venv/installed-dev
	@echo "==> Running the fast tests"
	@$(PYTEST) -m "not slow and not exhaustive"

test-all: .venv/installed-dev
	@echo "==> Running all tests"
	@$(PYTEST) --hypothesis-profile=new-examples

lint: .venv/installed-dev
	@echo "==> Checking style, types and the directions of imports"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

settings: .venv/installed
	@$(BIN)/python -m mura_core.cli.settings_page > docs/settings.md

gpu-check: $(if $(shell command -v nvidia-smi),.venv/installed-gpu,.venv/installed)
	@echo "==> mura-run check-device"
	@$(BIN)/mura-run check-device

seeds: .venv/installed-dev
	@echo "==> Training conv4 from twenty seeds"
	@$(BIN)/python tests/learning_seeds.py --seeds 20

fuzz: .venv/installed-dev
	@echo "==> Fuzzing the PNG reader with AddressSanitizer and UBSan"
	@$(BIN)/python tests/fuzz/sanitized.py --count 1000000
	@echo "==> Fuzzing all readers"
	@$(BIN)/python tests/fuzz/fuzz_formats.py --count 100000

.venv/installed: .venv/pyvenv.cfg $(SOURCES)
	@echo "==> Installing mura-run into .venv: TensorFlow is 1.9 GB unpacked, so this takes minutes"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/installed-gpu: .venv/pyvenv.cfg $(SOURCES)
	@echo "==> Installing mura-run and the CUDA libraries into .venv: gigabytes, so this takes minutes"
	@$(BIN)/pip install --quiet --editable '.[gpu]'
	@touch $@

.venv/installed-dev: .venv/pyvenv.cfg $(SOURCES)
	@echo "==> Installing mura-run and what its tests need into .venv: this takes minutes"
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit( \
	  "mura-run needs Python 3.11 to 3.13, and $(PYTHON) is " + sys.version.split()[0] + \
	  "; name another: make PYTHON=python3.12 ...")'
	@echo "==> Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv

clean:
	rm -rf .venv build dist *.egg-info mura_core/imaging/*.so mura_core/imaging/png/*.so
