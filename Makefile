# Every habit is a target; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export PATH := $(PATH):$(HOME)/.cargo/bin

VENV := .venv
PY := $(VENV)/bin/python
CARGO := PYO3_PYTHON=$(CURDIR)/$(PY) cargo
TRIALS := build/trials
FRAMEWORKS := build/frameworks
PROFILERS := build/profilers
CARGO_FUZZ := build/tools/bin/cargo-fuzz
LLVM_COV := build/tools/bin/cargo-llvm-cov
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3 python)
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' rust/Cargo.toml)
SOURCES := pyproject.toml setup.py $(wildcard csrc/*) $(wildcard rust/*.toml rust/core/*.toml rust/hints/*.toml rust/portal/*.toml) rust/Cargo.lock rust/build.rs \
    $(shell find rust/src rust/core/src rust/hints/src rust/portal/src -name '*.rs')

.PHONY: help build demo stack test lint bench bench-quick clean develop trials torture storm storm-bugs fuzz coverage sanitize profile lock

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

build: $(VENV)/.package ## Set everything up: virtual environment in .venv, dependencies, both native modules

demo: build ## Watch all of it run for a minute, with kills, and be audited
	@$(VENV)/bin/flurry-fast demo $(ARGS)

stack: build ## Run real Kafka, HDFS and HBase on this machine (ARGS="--quick --brokers 3"); needs Java and Maven
	@$(VENV)/bin/flurry-fast stack up $(ARGS)

# Three processes: most of a test is waiting. Each starts real servers of its own when a test asks for them. Tests start
# thousands of processes of the package: where bytecode is not written by itself, each would compile it once more.
test: build trials $(VENV)/.dev ## Run all tests: Rust, then Python (ARGS go to pytest)
	$(CARGO) test --quiet --manifest-path rust/Cargo.toml --workspace --locked
	$(PY) -m compileall -q flurry_fast $(TRIALS)/flurry_fast
	$(PY) -m pytest --numprocesses 3 --dist worksteal --durations 40 $(ARGS)

lint: build $(VENV)/.dev ## Check style, types and stubs of Python and Rust
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -m mypy.stubtest --mypy-config-file pyproject.toml --allowlist .ci/stubtest-allowlist flurry_fast._core flurry_fast._wire
	cargo fmt --manifest-path rust/Cargo.toml --all --check
	cargo fmt --manifest-path bench/contenders/parquet_rs/Cargo.toml --check
	$(CARGO) clippy --quiet --manifest-path rust/Cargo.toml --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --quiet --manifest-path rust/Cargo.toml --workspace --features trials --locked -- -D warnings

bench: build $(VENV)/.dev $(FRAMEWORKS)/.done ## Measure everything into docs/benchmarks/: contenders, pipelines, scaling; then kernels alone. Needs Java and Maven
	$(PY) -m bench.run $(ARGS)
	$(PY) -m pytest bench --benchmark-only --benchmark-timer=time.process_time
	$(CARGO) bench --quiet --manifest-path rust/Cargo.toml --package flurry-core --locked

bench-quick: build $(VENV)/.dev ## Measure a subset in ten minutes, into docs/benchmarks/latest.json; needs Java and Maven
	$(PY) -m bench.run --quick $(ARGS)

develop: build $(VENV)/.dev ## Rebuild the Rust module only, in place (the inner loop)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/maturin develop --skip-install --release -m rust/Cargo.toml

trials: $(TRIALS)/.built ## Build the package for the proof of exactness: with seeded bugs and fail points, in build/trials

torture: trials ## Kill, stop and fail real processes at every fail point, as long as told (ARGS="--minutes 30 --points 'archive.*'")
	@PYTHONPATH=$(TRIALS):tests $(PY) -P -m torture $(ARGS)

storm: trials ## Break real Kafka, HBase and HDFS under running consumers, 500 kills among it (ARGS="--kills 50 --rounds 1"); needs Java and Maven
	@PYTHONPATH=$(TRIALS):tests $(PY) -P -m storm $(ARGS)

storm-bugs: trials ## Let a storm rage over consumers with one seeded bug after the other: each must be noticed (ARGS="--bug NAME")
	@PYTHONPATH=$(TRIALS):tests $(PY) -P -m storm.hunt $(ARGS)

fuzz: build $(CARGO_FUZZ) ## Look for inputs that the decoders do not survive, for 5 minutes (ARGS: --minutes, --target, ...)
	$(PY) rust/fuzz/run.py $(ARGS)

coverage: $(LLVM_COV) ## Which lines of the Rust core its own tests and the fuzzers' corpus reach, file by file
	@rustup component list --installed | grep -q llvm-tools || { echo "make coverage needs LLVM's tools (run: rustup component add llvm-tools)." >&2; exit 1; }
	$(LLVM_COV) llvm-cov --manifest-path rust/Cargo.toml --locked --lib --tests --package flurry-core --package flurry-fuzz $(ARGS)

# The interpreter is not instrumented: its own leaks at exit would drown ours.
sanitize: build $(VENV)/.dev ## Run the tests of the C and Cython code under AddressSanitizer and UBSan
	FLURRY_FAST_SANITIZE=address,undefined $(PY) setup.py -q build --build-lib build/sanitize --build-temp build/sanitize-temp
	export LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
	    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONPATH=build/sanitize; \
	$(PY) -P -c 'from flurry_fast import _wire; assert _wire.build_info()["profile"].startswith("sanitize")' && \
	$(VENV)/bin/pytest -p no:cacheprovider tests/wire $(ARGS)

profile: build $(PROFILERS)/.done ## Record where time and memory of a scenario go (ARGS="five --with perf"); perf/README.md
	$(PY) -m perf.record $(ARGS)

lock: $(VENV)/.build ## Choose the newest versions of all Python dependencies again
	$(PIP) uv
	$(VENV)/bin/uv $(LOCK) --group build --group test --group lint --group bench --output-file requirements/dev.lock
	$(VENV)/bin/uv $(LOCK) --group frameworks --output-file requirements/frameworks.lock
	$(VENV)/bin/uv $(LOCK) --group build --constraints requirements/dev.lock --output-file requirements/build.lock
	$(VENV)/bin/uv $(LOCK) --group perf --constraints requirements/dev.lock --output-file requirements/perf.lock
LOCK := pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make lock"

clean: ## Remove what was built and downloaded (data/ stays)
	rm -rf $(VENV) build dist *.egg-info rust/target flurry_fast/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how it is set up; a stamp says that a step is done --------------------------------------------------------------

$(VENV)/.package: $(SOURCES) $(VENV)/.build
	@echo "Building the native modules (release profile; the first time takes some minutes)"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(TRIALS)/.built: $(SOURCES) $(shell find flurry_fast -name '*.py' -o -name '*.toml') $(VENV)/.package
	@echo "Building the package for the proof of exactness in $(TRIALS)"
	@rm -rf $(TRIALS)
	@FLURRY_FAST_TRIALS=1 $(PY) setup.py -q build --build-lib $(TRIALS) --build-temp $(TRIALS)-temp
	@touch $@

$(VENV)/.build: requirements/build.lock $(PY)
	@echo "Installing what the package needs"
	@$(PIP) --require-hashes --requirement requirements/build.lock
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.build
	@echo "Installing what tests and checks need"
	@$(PIP) --require-hashes --requirement requirements/dev.lock
	@touch $@

$(FRAMEWORKS)/.done: requirements/frameworks.lock $(VENV)/.package
	@echo "Installing the stream frameworks that are measured against, in $(FRAMEWORKS)"
	@$(PY) -m venv $(FRAMEWORKS)
	@$(FRAMEWORKS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/frameworks.lock
	@touch $@

$(PROFILERS)/.done: requirements/perf.lock $(VENV)/.package
	@$(PY) -m venv $(PROFILERS)
	@$(PROFILERS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/perf.lock
	@touch $@

$(CARGO_FUZZ):
	@echo "Building cargo-fuzz"
	@cargo install --quiet cargo-fuzz --version 0.13.2 --locked --root build/tools

$(LLVM_COV):
	@echo "Building cargo-llvm-cov"
	@cargo install --quiet cargo-llvm-cov --version 0.9.1 --locked --root build/tools

# All that must be there already is looked for before anything is downloaded.
$(PY):
	@say() { echo "flurry_fast can not be built: $$1" >&2; exit 1; }; \
	for name in $(PYTHONS); do \
	    if $$name -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	[ -n "$${python:-}" ] || say "Python 3.11 or newer with venv is missing (install python3.11 and python3.11-venv, or set PYTHON=/path/to/python)."; \
	cc=$${CC:-$$($$python -c 'import sysconfig; print((sysconfig.get_config_var("CC") or "cc").split()[0])')}; \
	command -v $$cc >/dev/null || say "the C compiler $$cc is missing (install it, or set CC)."; \
	$$python -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
	    || say "the headers of $$python are missing (install python3-dev)."; \
	command -v cargo >/dev/null || say "Rust is missing (install it from https://rustup.rs)."; \
	found=$$(cargo --version | cut -d' ' -f2); \
	[ "$$(printf '%s\n' $(RUST) $$found | sort -V | head -n1)" = "$(RUST)" ] || say "Rust $(RUST) or newer is needed, this is $$found (run: rustup update)."; \
	echo "Making a virtual environment in $(VENV) ($$($$python --version))"; \
	$$python -m venv $(VENV)
