# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host will await is foreseen of what it was last seen to have."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.plugin_utils import _seen
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import remember
from ansible_collections.airgap.conda.plugins.plugin_utils._seen import (
    Seen,
    Sight,
    foresee,
    is_little_awaited,
    sights_of,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    file,
    make_bundle,
    noise,
    tool_members,
)

SIGHT = Sight("c" * 64, "linux-64", ("gzip",))


class Pair(t.NamedTuple):
    older: Bundle
    newer: Bundle

    def group(self) -> dict[str, Bundle]:
        return {self.newer.manifest.needs.platform: self.newer}

    def sight(self, **fields: t.Any) -> Sight:
        had = Sight(self.older.manifest.content_id, self.older.manifest.needs.platform, ("gzip",))
        return had._replace(**fields)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    made = [make_bundle(tmp_path / each, [*tool_members(each), file("share/big", noise(3, 20_000))]) for each in "12"]
    return Pair(*(Bundle(str(each.path), str(tmp_path / "cache")) for each in made))


@pytest.fixture
def known(pair: Pair) -> Pair:
    """The two where the older one was sent before."""
    remember(pair.older)
    return pair


# --- kept -----------------------------------------------------------------------------------------------------------


def test_what_was_seen_is_seen_by_the_next_run(tmp_path: Path) -> None:
    cache = str(tmp_path)
    Seen(cache, "host").note(["/envs/a", "", "/envs/b"], [SIGHT, SIGHT, None])
    assert Seen(cache, "host").of(["/envs/b", "/envs/a", ""]) == [None, SIGHT, None]
    Seen(cache, "host").note(["/envs/b"], [SIGHT])
    assert Seen(cache, "host").of(["/envs/a", "/envs/b"]) == [SIGHT, SIGHT]
    assert Seen(cache, "../host").of(["/envs/a"]) == [None]


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    Seen(str(tmp_path), "host").note(["/envs/a"], [SIGHT])
    (path,) = (tmp_path / "hosts").iterdir()
    os.utime(path, (0, 0))
    before = os.stat(path)
    Seen(str(tmp_path), "host").note(["/envs/a"], [SIGHT])
    Seen(str(tmp_path), "host").note([], [])
    assert os.stat(path).st_ino == before.st_ino
    # But it is used, and so kept.
    assert os.stat(path).st_mtime > before.st_mtime


@pytest.mark.parametrize("text", ["", "[]", "{", '{"/envs/a": 1}', '{"/envs/a": [1, 2]}', "\x00"])
def test_what_cannot_be_read_was_not_seen(tmp_path: Path, text: str) -> None:
    Seen(str(tmp_path), "host").note(["/envs/a"], [SIGHT])
    (path,) = (tmp_path / "hosts").iterdir()
    path.write_text(text)
    assert Seen(str(tmp_path), "host").of(["/envs/a"]) == [None]
    Seen(str(tmp_path), "host").note(["/envs/a"], [SIGHT])
    assert Seen(str(tmp_path), "host").of(["/envs/a"]) == [SIGHT]


# --- foreseen -------------------------------------------------------------------------------------------------------


def test_a_small_delta_is_foreseen(known: Pair) -> None:
    assert foresee([known.sight()], [known.group()]) == [known.newer]
    assert known.newer.basis.base == known.older.manifest.content_id
    assert is_little_awaited([known.sight()], [known.group()])


def test_a_large_delta_waits_for_the_answer(known: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_seen, "LITTLE", 100)
    assert foresee([known.sight()], [known.group()]) == []
    assert not is_little_awaited([known.sight()], [known.group()])


def test_nothing_is_foreseen_of_what_is_not_known(pair: Pair) -> None:
    assert foresee([pair.sight()], [pair.group()]) == []
    assert not is_little_awaited([pair.sight()], [pair.group()])


def test_nothing_is_awaited_of_what_is_live(pair: Pair) -> None:
    live = pair.sight(content_id=pair.newer.manifest.content_id)
    assert foresee([live], [pair.group()]) == []
    assert is_little_awaited([live], [pair.group()])


@pytest.mark.parametrize("platform", [None, "linux-aarch64"])
def test_a_host_that_was_not_seen_may_await_anything(known: Pair, platform: t.Optional[str]) -> None:
    sight = known.sight(platform=platform) if platform else None
    assert foresee([sight], [known.group()]) == []
    assert not is_little_awaited([sight], [known.group()])


def test_one_environment_that_was_not_seen_is_enough(known: Pair) -> None:
    sights, groups = [known.sight(), None], [known.group(), known.group()]
    assert foresee(sights, groups) == [known.newer] and not is_little_awaited(sights, groups)
    # What is to be removed awaits nothing.
    assert is_little_awaited(sights, [known.group(), {}])


# --- seen -----------------------------------------------------------------------------------------------------------


def test_an_answer_says_what_is_live(pair: Pair) -> None:
    wanted = pair.newer.manifest.content_id
    row = {"prefix": "/envs/a", "wanted": wanted, "content_id": wanted}
    sight = Sight(wanted, pair.newer.manifest.needs.platform, ("zstd", "gzip"))
    assert sights_of([row], [pair.group()], [], {"/envs/a": ["zstd", "gzip"]}) == []
    assert sights_of([row], [pair.group()], [None], {"/envs/a": ["zstd", "gzip"]}) == [sight]
    assert sights_of([row], [pair.group()], [pair.sight()], {}) == [sight._replace(decoders=("gzip",))]
    assert sights_of([row], [pair.group()], [None], {}) == [None]
    assert sights_of([{**row, "content_id": ""}], [pair.group()], [pair.sight()], {}) == [None]
    assert sights_of([{**row, "wanted": ""}], [{}], [pair.sight()], {}) == [None]
