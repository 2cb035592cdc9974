# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.findings import (
    BENIGN_KINDS,
    CLEAN,
    DRIFT,
    KINDS,
    UNCHECKED,
    Finding,
    Seen,
    damage_of,
    ignoring,
    of_missing,
    of_recorded,
    of_unexpected,
    printable,
    sort_out,
    status_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.plan import Damage
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item


def item(path: str = "bin/tool", kind: str = "file", mode: int = 0o755) -> Item:
    return Item(path, kind, "0" * 64, 4, mode, 0, 0, "", False)


TOOL = Seen("file", 0o755, 0, 0)


@pytest.mark.parametrize(
    ("path", "seen", "expected"),
    [
        ("bin/tool", TOOL, []),
        ("bin/tool", TOOL._replace(touched=True), [("touched", "")]),
        ("bin/tool", TOOL._replace(same=False), [("modified", "")]),
        ("bin/tool", TOOL._replace(same=False, touched=True), [("modified", "")]),
        ("bin/tool", TOOL._replace(same=None), [("unreadable", "")]),
        ("bin/tool", TOOL._replace(same=False, taint="placeholder"), [("placeholder", "")]),
        ("bin/tool", TOOL._replace(same=False, taint="foreign-prefix"), [("foreign-prefix", "")]),
        ("bin/tool", TOOL._replace(mode=0o700), [("mode-changed", "0755 → 0700")]),
        ("bin/tool", TOOL._replace(mode=0o777), [("world-writable", "0755 → 0777")]),
        ("bin/tool", TOOL._replace(mode=0o4777), [("set-uid", "0755 → 4777")]),
        ("bin/tool", TOOL._replace(mode=0o2755), [("set-uid", "0755 → 2755")]),
        ("bin/tool", TOOL._replace(uid=5), [("owner-changed", "0:0 → 5:0")]),
        ("bin/tool", TOOL._replace(gid=5, same=False), [("modified", ""), ("owner-changed", "0:0 → 0:5")]),
        ("bin/tool", TOOL._replace(type="link", mode=0o777), [("type-changed", "file → link")]),
        ("bin/tool", TOOL._replace(type="other"), [("type-changed", "file → other")]),
        ("conda-meta/history", TOOL._replace(same=False), [("conda-meta-edited", "")]),
        ("lib/python3.11/site-packages/a.pth", TOOL._replace(same=False), [("start-code", "")]),
        ("lib/python3.11/sitecustomize.py", TOOL._replace(same=False), [("start-code", "")]),
        ("etc/conda/activate.d/x.sh", TOOL._replace(same=False), [("start-code", "")]),
    ],
)
def test_what_differs_from_its_record_has_a_kind(path: str, seen: Seen, expected: list[tuple[str, str]]) -> None:
    found = list(of_recorded(item(path), seen))
    assert [(each.kind, each.detail) for each in found] == expected
    assert {each.path for each in found} <= {path}


def test_a_link_has_a_target_and_no_mode() -> None:
    link = item(kind="link", mode=0o777)
    seen = Seen("link", 0o755, 0, 0, same=False)
    assert [each.kind for each in of_recorded(link, seen)] == ["link-retargeted"]
    assert list(of_recorded(link, seen._replace(same=True))) == []


FILE = Seen("file", 0o644, 0, 0)
FOLDER = Seen("dir", 0o755, 0, 0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"notes": FILE}, {"notes": ["unexpected"]}),
        ({"link": FILE._replace(type="link")}, {"link": ["unexpected"]}),
        ({"fifo": FILE._replace(type="other")}, {"fifo": ["unexpected"]}),
        ({"a": FOLDER, "a/b": FOLDER}, {"a": ["empty-folder"], "a/b": ["empty-folder"]}),
        ({"a": FOLDER, "a/b": FILE}, {"a/b": ["unexpected"]}),
        ({"root": FILE._replace(mode=0o4755)}, {"root": ["unexpected", "set-uid"]}),
        ({"open": FILE._replace(mode=0o666)}, {"open": ["unexpected", "world-writable"]}),
        ({"tmp": FOLDER._replace(mode=0o1777)}, {"tmp": ["empty-folder"]}),
        ({"bin/pip": FILE._replace(taint="foreign-prefix")}, {"bin/pip": ["foreign-prefix"]}),
        ({"lib/python3.11/site-packages/x.pth": FILE}, {"lib/python3.11/site-packages/x.pth": ["start-code"]}),
        ({"lib/python3.11/usercustomize/__init__.py": FILE}, None),
        ({"etc/conda/activate.d/x.sh": FILE}, {"etc/conda/activate.d/x.sh": ["start-code"]}),
        ({"conda-meta/pinned": FILE}, {"conda-meta/pinned": ["conda-meta-edited"]}),
        ({"conda-meta/foo-1.0-0.json": FILE}, {"conda-meta/foo-1.0-0.json": ["unexpected"]}),
        # The source same.py is as recorded, changed.py is not, new.py is new, and there is no gone.py.
        ({"__pycache__/same.cpython-311.pyc": FILE}, {"__pycache__/same.cpython-311.pyc": ["bytecode"]}),
        ({"__pycache__/changed.cpython-311.pyc": FILE}, {"__pycache__/changed.cpython-311.pyc": ["unexpected"]}),
        ({"__pycache__/gone.cpython-311.pyc": FILE}, {"__pycache__/gone.cpython-311.pyc": ["unexpected"]}),
        (
            {"new.py": FILE, "__pycache__/new.cpython-311.pyc": FILE},
            {"new.py": ["unexpected"], "__pycache__/new.cpython-311.pyc": ["unexpected"]},
        ),
    ],
)
def test_what_no_record_has_has_a_kind(found: dict[str, Seen], expected: t.Optional[dict[str, list[str]]]) -> None:
    kinds: dict[str, list[str]] = {}
    for finding in of_unexpected(found, {"changed.py"}, {"same.py", "changed.py"}):
        kinds.setdefault(finding.path, []).append(finding.kind)
    assert kinds == (expected or {path: ["start-code"] for path in found})


def test_a_cache_of_a_changed_source_goes_with_it_and_refuses_no_removal() -> None:
    (finding,) = of_unexpected({"__pycache__/changed.cpython-311.pyc": FILE}, {"changed.py"}, {"changed.py"})
    assert damage_of([finding]) == Damage()


def test_damage_names_each_path_once() -> None:
    findings = [
        of_missing(item("gone")),
        Finding("modified", "bin/tool", "modified"),
        Finding("owner-changed", "bin/tool", "modified"),
        Finding("unexpected", "mine", "unexpected"),
        Finding("bytecode", "cache"),
    ]
    assert damage_of(findings) == Damage(("gone",), ("bin/tool",), ("mine",))


def test_the_worst_comes_first_and_benign_ignored_and_unread_apart() -> None:
    findings = [
        Finding("modified", "b"),
        Finding("modified", "a"),
        Finding("set-uid", "c"),
        Finding("bytecode", "d"),
        Finding("unreadable", "e"),
        Finding("unexpected", "etc/mine/f"),
    ]
    found = sort_out(findings, ["etc/*"])
    assert [each.path for each in found.drift] == ["c", "a", "b"]
    assert [each.path for each in found.benign] == ["etc/mine/f", "d"]
    assert [each.path for each in found.unchecked] == ["e"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("etc", ["etc", "etc/a", "etc/a/b"], ["etcetera", "lib/etc"]),
        ("etc/", ["etc/a"], ["etcetera"]),
        ("*.log", ["a.log", "var/a.log"], ["a.log.1"]),
        ("lib/*/x.py", ["lib/a/x.py", "lib/a/b/x.py"], ["lib/x.py"]),
        ("a[b", ["a[b"], ["ab"]),
        ("/usr/local/bin/*", ["/usr/local/bin/tool"], ["usr/local/bin/tool"]),
    ],
)
def test_patterns_name_paths_and_what_is_below(pattern: str, matching: list[str], other: list[str]) -> None:
    found = ignoring([pattern])
    assert all(found.match(path) for path in matching)
    assert not any(found.match(path) for path in other)


def test_no_pattern_ignores_nothing() -> None:
    assert not ignoring([]).match("") and not ignoring([]).match("a")


def test_status_is_the_worst_that_is_known() -> None:
    assert [status_of(*each) for each in [(False, False), (True, False), (True, True), (False, True)]] == [
        CLEAN,
        DRIFT,
        DRIFT,
        UNCHECKED,
    ]


def test_kinds_are_called_what_they_are_named_by() -> None:
    assert all(kind.name == name and kind.words for name, kind in KINDS.items())
    assert all(kind.weight == 0 for kind in BENIGN_KINDS.values())
    assert all(kind.weight > 0 for name, kind in KINDS.items() if name not in BENIGN_KINDS)


def test_names_steer_no_terminal() -> None:
    assert printable("caf\udce9 \x1b[31m\n ü") == "caf\\udce9 \\x1b[31m\\n ü"


def test_a_directory_that_is_gone_with_what_was_in_it_is_told_by_that() -> None:
    gone = [of_missing(item(path)) for path in ("lib", "lib/a", "lib/a/x", "lib/b", "empty")]
    assert [each.path for each in sort_out(gone).drift] == ["empty", "lib/a/x", "lib/b"]
    assert damage_of(gone).missing == ("lib", "lib/a", "lib/a/x", "lib/b", "empty")
