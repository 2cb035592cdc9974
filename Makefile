# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A copy where Ansible's own tools want it; they refuse a link.
COPY := build/collections/ansible_collections/airgap/conda

export PYTHONPATH := tests

.DEFAULT_GOAL := help
.PHONY: help venv demo test copy lint sanity unit units integration live bench clean

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

test: lint sanity unit units integration live  ## every suite

copy:
	rm -rf $(COPY) && mkdir -p $(COPY) && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t $(COPY)

lint: venv copy  ## style, types, Ansible's conventions
	$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	MYPYPATH=build/collections $(BIN)/mypy -p ansible_collections.airgap.conda.plugins
	MYPYPATH=build/collections $(BIN)/mypy -p ansible_collections.airgap.conda.tests.unit
	MYPYPATH=build/collections:tests $(BIN)/mypy tests/world tests/live tests/cores
	$(BIN)/yamllint --strict .
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/ansible-lint --offline --strict

sanity units integration: venv copy
	$(BIN)/python -m cores $@ $(CORE) --only='$(ONLY)'

sanity:  ## ansible-test sanity; CORE=2.21 for one core, ONLY='--test pylint' for one check
units:  ## ansible-test units, with the oldest and the newest Python of hosts; ONLY='--target-python=venv/3.8 tests/unit/...'
integration:  ## ansible-test integration, of the tarball as installed

unit: venv  ## tables and properties, no host
	$(BIN)/pytest -q -n 2 tests/unit

live: venv  ## real builds, real hosts
	$(BIN)/python -m world.channel
	$(BIN)/pytest -q -n 2 --dist loadfile tests/live

bench: venv  ## figures against the playbook of copy, unarchive and conda-unpack
	$(BIN)/python -m bench

clean:  ## what was made here; the cache of the tests stays in ~/.cache
	rm -rf $(VENV) .venv-core-* build dist .mypy_cache .ruff_cache .pytest_cache
