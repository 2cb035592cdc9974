# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.conda_meta import Record
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import (
    Finder,
    Leak,
    LeakRules,
    Trace,
    Watch,
    judged,
    login_here,
    parse_leak_rules,
    traces,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import LINK, Entry
from hypothesis import given
from hypothesis import strategies as st

PREFIX = Trace("the prefix", "/home/ann/cache/env/0123", True)
CACHE = Trace("the package cache", "/home/ann/cache/pkgs")
HOME = Trace("the home directory", "/home/ann")
LOGIN = Trace("the login", "ann@builder7")
ALL = (PREFIX, CACHE, HOME, LOGIN)

PARTS = ("/home/ann", "/cache/pkgs", "/cache/env/0123", "ann@builder7", "na", "/", ".", ".x", "-", "@", " ")


def found(*chunks: bytes) -> list[str]:
    finder = Finder(ALL)
    for chunk in chunks:
        finder.look(chunk)
    return sorted(trace.what for trace in finder.end())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"nothing", []),
        (b"/home/ann", ["the home directory"]),
        (b"see /home/ann/x", ["the home directory"]),
        (b"/home/anna /home/ann-old /home/ann.bak", []),
        (b"/home/ann/cache/pkgs/x", ["the package cache"]),
        (b"/home/ann/cache/env/0123/lib", ["the prefix"]),
        (b"/home/ann/cache/env/01234", ["the home directory"]),
        (b"by ann@builder7 and ann", ["the login"]),
        (b"ann@builder7.example.org", ["the login"]),
        (b"ann@builder77", []),
        (b"ann builder7", []),
    ],
)
def test_what_tells_of_the_builder(text: bytes, what: list[str]) -> None:
    assert found(text) == what


@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_it_is_found_wherever_the_chunks_are_cut(text: str, sizes: list[int]) -> None:
    data, at = text.encode(), 0
    chunks: list[bytes] = []
    while at < len(data):
        chunks.append(data[at : at + sizes[len(chunks) % len(sizes)]])
        at += len(chunks[-1])
    assert found(*chunks) == found(data)


def test_a_finder_begins_anew_with_each_file() -> None:
    finder = Finder(ALL)
    finder.look(b"/home/an")
    assert finder.end() == []
    finder.look(b"n/x")
    assert finder.end() == []


def test_names_and_targets_are_looked_at_too() -> None:
    watch = Watch(ALL)
    for entry in (Entry("lib/x", LINK, target="/home/ann/x"), Entry("share/home/ann", LINK, target="y")):
        assert list(watch.over(entry, ())) == []
    assert watch.leaks == [Leak("lib/x", HOME), Leak("share/home/ann", HOME)]


LEAKS = (Leak("lib/a", HOME), Leak("share/b", LOGIN))


@pytest.mark.parametrize(
    ("leaks", "rules", "reported"),
    [
        ((), LeakRules(), ()),
        (LEAKS, LeakRules("report"), LEAKS),
        (LEAKS, LeakRules("report", ("lib/*",)), LEAKS[1:]),
        (LEAKS, LeakRules("refuse", ("lib/*", "share/b")), ()),
        ((Leak("lib/a", PREFIX),), LeakRules("refuse", ("lib/a",)), ()),
    ],
)
def test_leaks_that_are_let_pass(leaks: tuple[Leak, ...], rules: LeakRules, reported: tuple[Leak, ...]) -> None:
    assert judged(leaks, rules) == reported


@pytest.mark.parametrize(
    ("leaks", "rules", "reason"),
    [
        (LEAKS, LeakRules(), r"lib/a \(the home directory /home/ann\), share/b \(the login ann@builder7\); take"),
        (LEAKS * 3, LeakRules(), r"share/b \(the login ann@builder7\), lib/a \(.*\) and 3 more; take"),
        (LEAKS, LeakRules("refuse", ("lib/*",)), r"^what is packed names the builder: share/b \(the login"),
        ((*LEAKS, Leak("x", PREFIX)), LeakRules("report"), "^x would carry the builder's path /home/ann/cache/env"),
    ],
)
def test_leaks_that_are_refused(leaks: tuple[Leak, ...], rules: LeakRules, reason: str) -> None:
    with pytest.raises(PackError, match=reason):
        judged(leaks, rules)


@pytest.mark.parametrize(
    ("home", "login", "sought"),
    [
        ("/home/ann", "ann@builder7", ["/home/ann", "ann@builder7"]),
        ("/home/ann/", "", ["/home/ann"]),
        ("/var/lib/jenkins", "jenkins@ci", ["/var/lib/jenkins", "jenkins@ci"]),
        ("/root", "root@builder7", ["root@builder7"]),
        ("/", "", []),
        ("/nonexistent", "nobody@localhost", []),
        ("/usr/sbin", "daemon@builder7", ["daemon@builder7"]),
    ],
)
def test_what_is_sought_tells_of_somebody(home: str, login: str, sought: list[str]) -> None:
    records = [Record("conda-meta/a.json", {"link": {"source": "/nonexistent/pkgs/a-1-0"}}), Record("b", {"link": {}})]
    expected = ["/nonexistent/env", "/nonexistent/pkgs", *sought]
    assert [trace.text for trace in traces("/nonexistent/env", records, home, login)] == expected


def test_paths_are_sought_as_named_and_without_links(tmp_path: t.Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    sought = {trace.text for trace in traces(f"{tmp_path}/link/env", [], "/", "")}
    assert sought == {f"{tmp_path}/link/env", f"{tmp_path}/real/env"}


def test_who_builds_is_somebody_somewhere() -> None:
    assert login_here().count("@") == 1


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        (None, LeakRules()),
        ({}, LeakRules()),
        ({"policy": None, "exempt": None}, LeakRules()),
        ({"policy": "report", "exempt": ["a", "b*"]}, LeakRules("report", ("a", "b*"))),
    ],
)
def test_rules_of_parameters(fields: dict[str, t.Any] | None, rules: LeakRules) -> None:
    assert parse_leak_rules(fields) == rules
