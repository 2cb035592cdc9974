# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A copy where Ansible's own tools want it; they refuse a link.
COPY := build/collections/ansible_collections/airgap/conda

export PYTHONPATH := tests

# The longest first.
SUITES := live sanity molecule units integration release lint docs

.DEFAULT_GOAL := help
.PHONY: help venv demo test copy lint sanity unit units integration docs live molecule release bench test-slow clean test-faults bench-fleet

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

venv: $(VENV)/.ready  ## .venv with Ansible, the builder's libraries and this collection, nothing global

# The collection is found through site-packages, so every command of .venv sees this checkout.
$(VENV)/.ready: requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "airgap.conda: needs Python 3.11 or newer, see PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	mkdir -p $$site/ansible_collections/airgap && ln -sfn $(CURDIR) $$site/ansible_collections/airgap/conda
	touch $@

demo: venv  ## build the example, roll it out to three hosts, show that it runs
	$(BIN)/python -m world.demo

test: venv copy  ## every suite, two at a time; what failed says how to see it again
	$(MAKE) --jobs 2 --keep-going --output-sync=target $(SUITES:%=suite-%)

suite-%:
	@$(MAKE) --assume-old copy $* || { echo "again: make $*"; exit 1; }

copy:
	rm -rf $(COPY) && mkdir -p $(COPY) && git ls-files -z --cached --others --exclude-standard | sort -zu | xargs -0 cp --parents -t $(COPY)

lint: venv copy  ## style, types, Ansible's conventions
	$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	MYPYPATH=build/collections $(BIN)/mypy -p ansible_collections.airgap.conda.plugins
	MYPYPATH=build/collections $(BIN)/mypy -p ansible_collections.airgap.conda.tests.unit
	MYPYPATH=build/collections:tests $(BIN)/mypy tests/world tests/bench tests/live tests/slow tests/docs tests/release tests/cores
	$(BIN)/yamllint --strict .
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --offline --strict

sanity units integration: venv copy
	$(BIN)/python -m cores $@ $(CORE) --only='$(ONLY)'

sanity:  ## ansible-test sanity; CORE=2.21 for one core, ONLY='--test pylint' for one check
units:  ## ansible-test units, with the oldest and the newest Python of hosts; ONLY='--target-python=venv/3.8 tests/unit/...'
integration:  ## ansible-test integration, of the tarball as installed

unit: venv  ## tables and properties, no host
	$(BIN)/pytest -q -n 2 tests/unit

# Sphinx works without a network; antsibull-docs looks for `ansible` on the PATH.
docs: export PATH := $(CURDIR)/$(BIN):$(PATH)
# It would leave its log in the home directory.
docs: export HOME := $(CURDIR)/build
docs: venv  ## the site in build/docs/html, checked: nothing undocumented, no warning, no broken link
	rm -rf build/docs && mkdir -p -m 755 build/docs/rst
	antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all --disallow-unknown-collection-refs \
	    --check-extra-docs-refs .
	antsibull-docs collection --use-current --fail-on-error --squash-hierarchy --no-add-antsibull-docs-version \
	    --dest-dir build/docs/rst airgap.conda
	sphinx-build -q -b html -c docs/site -d build/docs/trees -W --keep-going build/docs/rst build/docs/html
	pytest -q -n 2 tests/docs

live: venv  ## real builds, real hosts
	$(BIN)/python -m world.channel
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests/live

test-slow: venv  ## environments of 100,000 files and of a file of 3 GB, with little memory; takes minutes and 20 GB of disk
	$(BIN)/python -m world.channel
	$(BIN)/pytest -q tests/slow

test-faults: venv  ## every fault of tests/live/test_faults*.py, of which make test tries a share; half an hour
	$(BIN)/python -m world.channel
	AIRGAP_FAULTS_SHARE=1 $(BIN)/pytest -q tests/live/test_faults.py tests/live/test_faults_of_rollouts.py

release: venv $(VENV)/release/.ready  ## what makes it publishable: changelog, licences, tarball, execution environment
	$(VENV)/release/bin/reuse lint --lines
	$(VENV)/release/bin/antsibull-changelog lint
	$(BIN)/python -m world.channel
	$(BIN)/pytest -q -n 2 --dist loadfile tests/release
	$(BIN)/ansible-galaxy collection build --force --output-path dist

$(VENV)/release/.ready: requirements-release.txt | $(VENV)/.ready
	$(PYTHON) -m venv $(VENV)/release
	$(VENV)/release/bin/pip install --quiet --requirement requirements-release.txt
	touch $@

molecule: venv  ## Molecule's scenarios on real hosts; one with SCENARIO=upgrade
	$(BIN)/python -m world.channel
	$(BIN)/python -m world.scenarios $(SCENARIO)

bench: venv  ## figures beside the naive playbook, rsync and tar alone, on a fast network and on 50 Mbit/s
	$(BIN)/python -m bench

bench-fleet: venv  ## what one more host costs, with 8 to 64 of them; 17 GB of free memory, or 8 for a smaller environment
	$(BIN)/python -m bench --only fleet --hosts 64

clean:  ## what was made here; the cache of the tests stays in ~/.cache
	rm -rf $(VENV) .venv-core-* build dist .mypy_cache .ruff_cache .pytest_cache
