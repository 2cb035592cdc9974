# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.isolation import Events, isolated
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError


def run(work: t.Callable[[Events], t.Any]) -> t.Any:
    return isolated("the solver", work, Progress())


def test_the_result_comes_back() -> None:
    parent = os.getpid()
    assert run(lambda _events: {"packages": ["é"], "child": os.getpid() != parent}) == {
        "packages": ["é"],
        "child": True,
    }


def test_events_come_through(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(str(path)) as progress:
        isolated("the solver", lambda events: events.count("installing", 2, 2), progress)
        assert path.read_text() == "installing 2/2\n"


def test_a_child_that_dies_is_one_clear_error() -> None:
    def die(_events: Events) -> None:
        os.write(2, b"thread panicked")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(BuildError, match=r"the solver ended without a result \(killed by SIGKILL\).*thread panicked"):
        run(die)


def test_what_the_library_prints_does_not_reach_us(capfd: pytest.CaptureFixture[str]) -> None:
    run(lambda _events: os.write(1, b"noise"))
    assert capfd.readouterr().out == ""


def test_errors_and_defects() -> None:
    def fail(_events: Events) -> t.NoReturn:
        raise BuildError("no channel has a package x")

    with pytest.raises(BuildError, match=r"^no channel has a package x$"):
        run(fail)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        run(lambda _events: 1 / 0)
