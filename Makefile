# Everything runs from here; each verb makes what it needs. Cargo builds in $CARGO_TARGET_DIR, or under the user's cache.
PY    ?= python3
VENV  ?= .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pylon/cargo-target

# PYLON_BUILD_LIGHTNING=0 leaves out the Lightning node, which is most of what there is to compile.
EXCLUDED := $(if $(filter 0,$(PYLON_BUILD_LIGHTNING)),--exclude pylon-lightning --exclude pylon-py-lightning)

.DEFAULT_GOAL := native
.PHONY: native demo test check bench counts fuzz mutants docs wheel clean integration-backends integration-lightning crash bench-lightning

$(READY): pyproject.toml
	$(PY) -c "import sys; sys.exit('Pylon needs Python 3.11 or newer' if sys.version_info < (3, 11) else 0)"
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > $(VENV)/build-requires.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/build-requires.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation -e '.[dev]'
	touch $@

# After editing Rust or Cython; does nothing when nothing changed.
native: $(READY)
	$(BIN)/python setup.py --quiet build_ext --inplace

demo: native
	$(BIN)/pylon models pull
	$(BIN)/python -m pylon.cli.demo

# Three at a time on two cores: many tests wait for processes of their own. A file's tests stay together.
test: native
	$(BIN)/python -m pytest -q -n 3 --dist loadfile

check: native
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	cargo fmt --all --check
	cargo fmt --check --manifest-path native/fuzz/Cargo.toml
	touch native/*/src/lib.rs # cargo goes by times, and the folder that it builds in is shared by all clones
	cargo clippy --workspace $(EXCLUDED) --all-targets --locked -- -D warnings
	cargo test --quiet -p pylon-core --locked
	$(if $(EXCLUDED),,cargo test --quiet -p pylon-lightning --profile lightning --locked)

# Ratios to references in one table, also in build/bench.md; fails where one stays above its gate.
bench: native
	mkdir -p build
	$(BIN)/python -m pytest benches -q --benchmark-enable --benchmark-quiet --benchmark-max-time=0.1 --benchmark-json=build/bench.json

# The goals of real Lightning, measured; also in build/bench-lightning.md. PARTS names some of: fund commands invoices share flight memory.
bench-lightning: native
	$(BIN)/python -m benches.wallet_table $(PARTS)

# A thousand payments while processes are killed, and where every millisat is afterwards. SEED repeats a run.
crash: native
	$(BIN)/python -m benches.wallet_crash --payments 1000 --every 3 --workers 20 --seed $(or $(SEED),1)

# Instructions a call of the native core, beside those kept in benches/counts.json; UPDATE=1 keeps the new ones.
counts: native
	$(BIN)/python -m benches.counts $(if $(UPDATE),--update)

# With the address sanitizer, $FUZZ_SECONDS (30) a target; says so and does nothing where no nightly toolchain is.
fuzz:
	scripts/fuzz

mutants: native
	$(BIN)/python tests/mutants/run.py

# docs/cli.md, from the commands themselves; a test says when it is due.
docs: native
	mkdir -p build
	$(BIN)/python -m pylon.cli.reference > build/cli.md
	mv build/cli.md docs/cli.md

# Against real engines of others, which are built first; needs Go and the network.
integration-backends: native
	scripts/integration-backends $(BIN)

# Electrum of Debian as a foreign Lightning node on our private chain; installed by apt-get where it is missing.
integration-lightning: native
	scripts/integration-lightning $(BIN)

# Builds the wheel, repairs it, and proves that it imports where no compiler is.
wheel: $(READY)
	.ci/wheel $(BIN)

clean:
	rm -rf build dist $(VENV) pylon/_native/*.so
