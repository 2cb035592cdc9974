# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.environments import (
    BuildEnvironment,
    State,
    fingerprint,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package


@pytest.fixture
def environment(tmp_path: Path) -> BuildEnvironment:
    return BuildEnvironment(str(tmp_path / "build"), "demo", "linux-64")


def made(environment: BuildEnvironment) -> State:
    """Make a prefix with one package, as a build does."""
    with environment.new_prefix() as prefix:
        meta = Path(prefix, "conda-meta")
        meta.mkdir(parents=True)
        source = Path(environment.directory).parent / "pkgs" / "alpha"
        (source / "info").mkdir(parents=True, exist_ok=True)
        record = {"name": "alpha", "files": [], "link": {"source": str(source)}}
        (meta / "alpha.json").write_text(json.dumps(record))
        state = State("digest", prefix, (Package("alpha", "1.0"),), ("attrs",), fingerprint(prefix))
        environment.adopt(state)
    return state


def test_state_is_read_as_it_was_adopted(environment: BuildEnvironment) -> None:
    with environment.lock():
        assert environment.state() is None
        state = made(environment)
    assert environment.state() == state


def test_a_second_prefix_takes_the_place_of_the_first(environment: BuildEnvironment) -> None:
    with environment.lock():
        first = made(environment)
        second = made(environment)
    assert first.prefix != second.prefix
    assert not os.path.exists(first.prefix)
    assert environment.state() == second


def test_a_failure_leaves_what_there_was(environment: BuildEnvironment) -> None:
    with environment.lock():
        state = made(environment)
    before = sorted(os.listdir(environment.directory))
    with pytest.raises(ZeroDivisionError), environment.lock(), environment.new_prefix() as prefix:
        os.makedirs(prefix)
        raise ZeroDivisionError
    assert sorted(os.listdir(environment.directory)) == before
    assert environment.state() == state


def test_a_first_failure_leaves_nothing(environment: BuildEnvironment) -> None:
    with pytest.raises(ZeroDivisionError), environment.lock(), environment.new_prefix():
        raise ZeroDivisionError
    assert not environment.exists


def test_the_next_run_clears_what_a_killed_one_left(environment: BuildEnvironment) -> None:
    with environment.lock():
        state = made(environment)
    half = Path(environment.directory, "0123456789ab")
    half.mkdir()
    with environment.lock():
        assert not half.exists()
    assert os.path.isdir(state.prefix)


def test_a_damaged_state_counts_as_none_and_a_newer_one_is_refused(environment: BuildEnvironment) -> None:
    with environment.lock():
        made(environment)
    path = Path(environment.directory, "state.json")
    path.write_text('{"format": 99}')
    with pytest.raises(BuildError, match=r"newer airgap\.conda"):
        environment.state()
    for text in (b'{"format": 1, "inp', b'{"format": 1}', b"[]", b"\xff"):
        path.write_bytes(text)
        assert environment.state() is None


@pytest.mark.parametrize("change", ["record", "history", "cache", "gone"])
def test_the_fingerprint_tells_changes(environment: BuildEnvironment, change: str) -> None:
    with environment.lock():
        state = made(environment)
    prefix, cache = Path(state.prefix), Path(environment.directory).parent / "pkgs"
    assert fingerprint(state.prefix) == state.fingerprint
    if change == "record":
        (prefix / "conda-meta" / "beta.json").write_text((prefix / "conda-meta" / "alpha.json").read_text())
    elif change == "history":
        (prefix / "conda-meta" / "history").write_text("==> now <==")
    elif change == "cache":
        (cache / "alpha" / "info").rmdir()
    else:
        (prefix / "conda-meta").rename(prefix / "elsewhere")
    assert fingerprint(state.prefix) != state.fingerprint


def test_two_runs_do_not_meet_even_when_one_removes(environment: BuildEnvironment) -> None:
    order = []

    def wait() -> None:
        with environment.lock():
            order.append("second")
            made(environment)

    with environment.lock():
        made(environment)
        other = threading.Thread(target=wait)
        other.start()
        other.join(0.2)
        order.append("first")
        environment.remove()
    other.join(10)
    assert order == ["first", "second"]
    assert environment.state()
