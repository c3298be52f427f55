# Everything runs in .venv, which is made when it is first needed. GNU make; all paths are relative, so any folder will do.
# Another Python for it: make venv PYTHON=python3.12 (after `make clean` if there is one already).

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
VENV_DONE := .venv/.installed
# Two processes, a file of tests in one of them: TensorFlow alone does not keep two cores busy, and takes 1 GB in each.
QUICK_TESTS := $(VENV_PYTHON) -m pytest -n 2 --dist loadfile
# A flag in /proc/cpuinfo, and the instructions to which oneDNN is held where it is there.
ISAS := sse4_1:SSE41 avx2:AVX2 avx512bw:AVX512_CORE avx512_bf16:AVX512_CORE_BF16 amx_bf16:AVX512_CORE_AMX

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # `make -j clean test` does one after the other
.PHONY: help venv test test-slow test-isa lint bench bench-scale demo demo-train clean

help: ## this list
	@echo "usage: make TARGET [PYTHON=python3]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

venv: $(VENV_DONE) ## make .venv with all that the programs and tests need (2.3 GB, a few minutes the first time)

test: $(VENV_DONE) ## check the style and run the tests that take seconds
	@$(VENV_PYTHON) -m ruff check --quiet .
	@$(QUICK_TESTS) -m "not slow"

test-slow: $(VENV_DONE) ## run the tests that take minutes
	@$(VENV_PYTHON) -m pytest -m slow

test-isa: $(VENV_DONE) ## run the tests of what depends on rounding as on older CPUs than this one (some minutes each)
	@echo "Without oneDNN:"; TF_ENABLE_ONEDNN_OPTS=0 $(QUICK_TESTS) -m "isa and not slow"
	@for pair in $(ISAS); do \
		grep -qw "$${pair%:*}" /proc/cpuinfo || continue; \
		echo "oneDNN as with $${pair#*:}:"; \
		ONEDNN_MAX_CPU_ISA=$${pair#*:} $(QUICK_TESTS) -m "isa and not slow" || exit 1; \
	done

lint: $(VENV_DONE) ## check the style alone
	@$(VENV_PYTHON) -m ruff check .

bench: $(VENV_DONE) ## measure the speed against a yardstick (half an hour); results/bench.json has all figures
	@mkdir -p results
	@$(VENV_PYTHON) benchmarks/measure.py --json results/bench.json

bench-scale: $(VENV_DONE) ## measure how training scales over devices and processes of this machine (some minutes)
	@$(VENV_PYTHON) benchmarks/scale.py

demo: $(VENV_DONE) ## denoise the sample pictures with the networks that come with the program (a minute)
	@$(VENV_PYTHON) -m dnnlib.demo

demo-train: $(VENV_DONE) ## train a small network on the sample pictures, and denoise with it (some minutes)
	@$(VENV_PYTHON) -m dnnlib.demo_training

clean: ## remove .venv and caches; results and datasets stay
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# Runs again when a requirements file is newer. An interrupted run leaves no mark and is taken up where it was.
$(VENV_DONE): requirements.txt requirements-dev.txt
	@command -v "$(PYTHON)" >/dev/null || { echo 'Error: there is no "$(PYTHON)"; name a Python 3.10 to 3.13: make venv PYTHON=...' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 10) <= v <= (3, 13) and "Error: $(PYTHON) is Python %d.%d, but TensorFlow needs 3.10 to 3.13; name one of those: make venv PYTHON=python3.12" % v)'
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	@echo "Installing into .venv ..."
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
