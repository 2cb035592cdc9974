# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import (
    KEPT,
    default_cache,
    exclusively,
    note_down,
    once,
    prune,
    used,
)
from ansible_collections.airgap.conda.plugins.plugin_utils._deltas import remember
from ansible_collections.airgap.conda.plugins.plugin_utils._sending import digest_of_part
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    child_environment,
    make_bundle,
    tool_members,
)

CONTENT = "0123456789abcdef"


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


HOLD = """
import sys
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import exclusively
with exclusively(sys.argv[1], "note") as file:
    print("held", flush=True)
    sys.stdin.read()
    file.write("theirs")
"""


def test_one_process_at_a_time_has_a_file_of_the_cache(cache: str) -> None:
    hold = [sys.executable, "-c", HOLD, cache]
    environment = child_environment()
    holder = subprocess.Popen(
        hold,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(hold, env=environment, stdin=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    holder.communicate()
    assert waiting.wait(20) == 0
    with exclusively(cache, "note") as file:
        assert file.read() == "theirstheirs"


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == "~/.cache/airgap-conda"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert default_cache() == "/var/cache/me/airgap-conda"


# --- what goes ------------------------------------------------------------------------------------------------------


def age(path: Path) -> None:
    """Let nobody have used *path*, and what is in it, for too long."""
    for each in (path, *path.rglob("*")):
        os.utime(each, (0, time.time() - KEPT - 60))


def names(cache: str) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in Path(cache).rglob("*") if path.is_file())


def test_what_nobody_used_goes_and_nothing_else(cache: str) -> None:
    ours = [
        f"verified-{CONTENT}",
        "archive-12",
        f"part-{CONTENT}-67108864-67108864",
        f"{CONTENT}-{CONTENT}.delta.zstd",
        f"{CONTENT}.tar.gz",
        f"lists/{CONTENT}/a",
    ]
    others = ["notes", "build/my_env-linux-64/state.json", "packed/a.json", "lists/readme", f"{CONTENT}.tar"]
    for name in (*ours, *others, f"programs-{CONTENT}"):
        (Path(cache) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(cache) / name).write_text("")
    age(Path(cache))
    with exclusively(cache, f"programs-{CONTENT}"):
        pass
    used(str(Path(cache) / f"{CONTENT}.tar.gz"))
    prune(cache)
    assert names(cache) == sorted([*others, "pruned", f"programs-{CONTENT}", f"{CONTENT}.tar.gz"])


def test_what_was_found_holds_until_the_stat_changes(cache: str) -> None:
    numbers = map(str, itertools.count())
    assert [once(cache, "archive-12", stat, lambda: next(numbers)) for stat in "aabba"] == ["0", "0", "1", "1", "2"]


def test_what_was_not_found_is_looked_for_again(cache: str) -> None:
    with pytest.raises(OSError):
        once(cache, "archive-12", "a", lambda: os.readlink("/nowhere"))
    assert once(cache, "archive-12", "a", lambda: "found") == "found"


def test_it_is_looked_for_once_a_day(cache: str) -> None:
    prune(cache)
    old = Path(cache) / "archive-12"
    old.write_text("")
    age(old)
    prune(cache)
    assert old.exists()
    with exclusively(cache, "pruned") as note:
        note_down(note, "yesterday")
    prune(cache)
    assert not old.exists()


def test_all_that_is_derived_goes_and_is_made_again(cache: str, tmp_path: Path) -> None:
    """Every name that is written is known as one of ours."""
    tiny = make_bundle(tmp_path / "1.0", tool_members("1.0"))
    bundle = Bundle(str(tiny.path), cache)
    for _again in range(2):
        bundle.verify()
        bundle.programs()
        digest_of_part(bundle, 0)
        bundle.encode("gzip")
        remember(bundle)
        assert len(names(cache)) > 6
        age(Path(cache))
        Path(cache, "pruned").unlink(missing_ok=True)
        prune(cache)
        assert names(cache) == ["pruned"]
        bundle = Bundle(str(tiny.path), cache)
