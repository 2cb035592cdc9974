# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._host import switching
from ansible_collections.airgap.conda.plugins.module_utils._host.switching import exchange, finish_switch, switch, sync
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError


class Places:
    """Where trees are, each with a file that says which it is."""

    def __init__(self, top: Path) -> None:
        self.staged, self.live, self.aside = (str(top / name) for name in ("staging", "live", "aside"))

    def put(self, **trees: str) -> None:
        for place, text in trees.items():
            path = Path(getattr(self, place))
            path.mkdir()
            (path / "which").write_text(text)

    def found(self) -> dict[str, str]:
        paths = {place: Path(getattr(self, place)) for place in ("staged", "live", "aside")}
        return {place: (path / "which").read_text() for place, path in paths.items() if path.exists()}

    def switch(self) -> None:
        switch(self.staged, self.live, self.aside)

    def finish_switch(self) -> str | None:
        return finish_switch(self.live, self.aside)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture(params=["exchange", "renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system cannot exchange, trees are renamed."""
    if request.param == "renames":
        monkeypatch.setattr(switching, "exchange", lambda _one, _other: False)


def test_two_paths_are_exchanged_in_one_step(places: Places) -> None:
    places.put(staged="new", live="old")
    if not exchange(places.staged, places.live):
        pytest.skip("this file system cannot exchange")
    assert places.found() == {"staged": "old", "live": "new"}


def test_what_cannot_be_exchanged_for_another_reason_is_an_error(places: Places) -> None:
    places.put(staged="new")
    with pytest.raises(DeployError, match=f"^cannot exchange {places.staged} and {places.live}: No such file"):
        exchange(places.staged, places.live)


def test_without_the_system_call_nothing_is_exchanged(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_arguments, **_options: object())
    places.put(staged="new", live="old")
    assert not exchange(places.staged, places.live)
    assert places.found() == {"staged": "new", "live": "old"}
    sync(places.live)


@pytest.mark.usefixtures("way")
def test_the_staged_tree_becomes_live_and_the_old_one_lies_beside(places: Places) -> None:
    places.put(staged="new", live="old")
    places.switch()
    assert places.found() in ({"staged": "old", "live": "new"}, {"aside": "old", "live": "new"})
    assert places.finish_switch() is None


@pytest.mark.usefixtures("way")
def test_a_first_tree_becomes_live(places: Places) -> None:
    places.put(staged="new")
    places.switch()
    assert places.found() == {"live": "new"}


def test_a_link_that_leads_nowhere_is_exchanged_like_a_tree(places: Places) -> None:
    places.put(staged="new")
    os.symlink("/nonexistent", places.live)
    places.switch()
    assert places.found() == {"live": "new"}
    assert os.readlink(places.staged) == "/nonexistent"


@pytest.mark.parametrize(
    ("renames", "found", "after"),
    [
        (0, None, {"staged": "new", "live": "old"}),
        (1, "taken back", {"staged": "new", "live": "old"}),
        (2, None, {"aside": "old", "live": "new"}),
    ],
)
def test_a_switch_by_renames_is_ended_wherever_it_was_interrupted(
    places: Places, monkeypatch: pytest.MonkeyPatch, renames: int, found: str | None, after: dict[str, str]
) -> None:
    places.put(staged="new", live="old")
    rename, done = os.rename, 0

    def interrupted(source: str, target: str) -> None:
        nonlocal done
        if done == renames:
            raise KeyboardInterrupt
        done += 1
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(switching, "exchange", lambda _one, _other: False)
        patched.setattr(os, "rename", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            places.switch()
    assert done == renames
    sentence = places.finish_switch()
    assert sentence == (f"an interrupted switch of {places.live} was {found}" if found else None)
    assert places.found() == after
    assert places.finish_switch() is None


def test_sync_takes_any_directory(tmp_path: Path) -> None:
    sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        sync(str(tmp_path / "missing"))
