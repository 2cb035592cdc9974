# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BINARY,
    BYTECODE,
    CONDA_META,
    DIRECTORY,
    EPOCH,
    FILE,
    GENERATION_MARKER,
    LINK,
    PLACEHOLDER,
    TEXT,
    WHEEL_RECORD,
    Entry,
    content_id_of,
    entries_by_line,
    link_fault,
    parents,
    parse_files,
    render_files,
    source_of_bytecode,
)
from hypothesis import given
from hypothesis import strategies as st

FIXTURE = Path(__file__).parents[3] / "fixtures" / "files-1.jsonl"

#: sha256 of the fixture: it changes with the format, and only with it.
CONTENT_ID = "cfd7ad3a7d2ab372a346c8c99554083f6fdb294156a9aeb50bd533734c4ad79e"

DIGEST = hashlib.sha256(b"").hexdigest()

#: One of everything a list can hold.
ENTRIES = [
    Entry("bin/tool", FILE, 0o755, 12, DIGEST, relocations=((PLACEHOLDER, TEXT), ("/other_placehold", TEXT))),
    Entry('caf\udce9/\u00fcber "x"\n.txt', FILE, 0o600, 0, DIGEST, mtime=1_680_000_000),
    Entry("conda-meta/tool-1.0-0.json", FILE, 0o644, 7, DIGEST, renews=CONDA_META),
    Entry("lib/empty", DIRECTORY),
    Entry("lib/libx.so", LINK, target="libx.so.1"),
    Entry("lib/libx.so.1", FILE, 0o755, 3, DIGEST, relocations=(("/p_placehold", BINARY),)),
    Entry("lib/localtime", LINK, target="/etc/localtime"),
    Entry("lib/own", LINK, target=f"{PLACEHOLDER}/bin", relocations=((PLACEHOLDER, TEXT),)),
    Entry("lib/python3.11/__pycache__/x.cpython-311.pyc", FILE, 0o644, 16, DIGEST, relocations=(("/p_", BYTECODE),)),
    Entry("lib/x-1.dist-info/RECORD", FILE, 0o644, 1, DIGEST, renews=WHEEL_RECORD),
]


def test_the_content_id_of_a_list_is_what_it_always_was() -> None:
    assert render_files(ENTRIES) == FIXTURE.read_bytes()
    assert content_id_of(FIXTURE.read_bytes()) == CONTENT_ID


def test_lists_of_format_1_are_read() -> None:
    assert parse_files(FIXTURE.read_bytes()) == ENTRIES


names = st.one_of(
    st.sampled_from(["a", "b", "bin", "..x", " ", "-", "\\", "caf\udce9", "\u2028", "\n", '"', "\U0001f40d"]),
    st.text(min_size=1, max_size=3).filter(lambda name: name not in (".", "..") and "/" not in name),
    st.binary(min_size=1, max_size=3)
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
    .filter(lambda name: name not in (".", "..") and "/" not in name),
).filter(lambda name: "\0" not in name)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Draw entries that describe one tree, in any order."""
    found: dict[str, Entry] = {}
    for path in draw(st.lists(paths, max_size=6)):
        kind = draw(st.sampled_from([FILE, LINK, DIRECTORY]))
        if path in found or any(parent in found for parent in parents(path)):
            continue
        if any(path in parents(other) for other in found):
            continue
        found[path] = _entry(draw, path, kind)
    return draw(st.permutations(list(found.values())))


def _entry(draw: st.DrawFn, path: str, kind: str) -> Entry:
    if kind == LINK:
        return Entry(path, LINK, target=draw(names))
    if kind == DIRECTORY:
        return Entry(path, DIRECTORY)
    relocations = draw(st.lists(st.tuples(names, st.sampled_from([TEXT, BINARY, BYTECODE])), max_size=2))
    return Entry(
        path,
        FILE,
        draw(st.integers(0, 0o777)),
        draw(st.integers(0, 1 << 40)),
        DIGEST,
        mtime=draw(st.sampled_from([EPOCH, 0, 1_680_000_000])),
        relocations=tuple(relocations),
        renews=draw(st.sampled_from(["", CONDA_META, WHEEL_RECORD])),
    )


@given(trees())
def test_what_is_rendered_is_parsed_again(entries: list[Entry]) -> None:
    rendered = render_files(entries)
    parsed = parse_files(rendered)
    assert {entry.path: entry for entry in parsed} == {entry.path: entry for entry in entries}
    assert render_files(parsed) == rendered
    assert rendered.isascii()


@given(trees(), trees())
def test_what_another_list_has_already_is_not_parsed_again_and_is_the_same(
    older: list[Entry], newer: list[Entry]
) -> None:
    known = entries_by_line(render_files(older))
    rendered = render_files(newer)
    assert known == dict(zip(render_files(older).splitlines(), parse_files(render_files(older))))
    parsed = parse_files(rendered, known)
    assert parsed == parse_files(rendered)
    assert all(entry is known.get(line, entry) for line, entry in zip(rendered.splitlines(), parsed))


@given(trees(), st.randoms(use_true_random=False))
def test_equal_trees_give_equal_bytes_whatever_their_order(entries: list[Entry], random: t.Any) -> None:
    rendered = render_files(entries)
    random.shuffle(entries)
    assert render_files(entries) == rendered


def test_lines_are_sorted_by_the_bytes_of_the_path() -> None:
    paths = ["\uffff", "\udcf5", "a-b", "a/b", "a", "B"]
    found = [
        entry.path for entry in parse_files(render_files([Entry(path, DIRECTORY) for path in paths if path != "a"]))
    ]
    assert found == ["B", "a-b", "a/b", "\uffff", "\udcf5"]


@given(st.binary(max_size=40), st.integers(0, 2000))
def test_a_damaged_list_is_refused_in_one_line_or_a_whole_other_one(garbage: bytes, at: int) -> None:
    whole = FIXTURE.read_bytes()
    damaged = whole[:at] + garbage + whole[at + len(garbage) :]
    try:
        entries = parse_files(damaged)
    except BundleError as error:
        assert "\n" not in str(error)
    else:
        # Another list, of another content id.
        assert render_files(entries) == damaged
    assert _parsed(damaged, entries_by_line(whole)) == _parsed(damaged, {})


def _parsed(files: bytes, known: dict[bytes, Entry]) -> list[Entry] | str:
    try:
        return parse_files(files, known)
    except BundleError as error:
        return str(error)


def line(**fields: t.Any) -> bytes:
    """Return a line that is right but for *fields*; None leaves one out."""
    whole = {"path": "a", "type": FILE, "mode": "0644", "size": 0, "sha256": DIGEST, **fields}
    found = {key: value for key, value in whole.items() if value is not None}
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def link(path: str, target: t.Any) -> bytes:
    return line(path=path, type=LINK, target=target, mode=None, size=None, sha256=None)


def directory(path: str) -> bytes:
    return line(path=path, type=DIRECTORY, mode=None, size=None, sha256=None)


def test_the_lines_of_these_tests_are_right_but_for_what_they_change() -> None:
    parse_files(line() + link("b", "a") + directory("c"))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (b"\n", "at line 1"),
        (b"[]\n", "at line 1"),
        (b'"path"\n', "at line 1"),
        (line() + b"{}\n", "at line 2: 'path'"),
        (line(path=None), "'path'"),
        (line(path=5), "5 is no text"),
        (line(path="\ud800"), "surrogates not allowed"),
        (line(type=None), "'type'"),
        (line(type="fifo"), "unknown type 'fifo'"),
        (line(type=["file"]), "unknown type"),
        (line(mode="4755"), "asks for mode 4755; set-uid, set-gid and sticky are not carried"),
        (line(mode="2755"), "asks for mode 2755"),
        (line(mode="1777"), "asks for mode 1777"),
        (line(mode="-0644"), "mode"),
        (line(mode=644), "non-string"),
        (line(mode="0x1"), "invalid literal"),
        (line(size=-1), "no digest or size"),
        (line(size="0"), "no digest or size"),
        (line(size=True), "no digest or size"),
        (line(size=1.0), "no digest or size"),
        (line(sha256=None), "no digest or size"),
        (line(sha256=DIGEST.upper()), "no digest or size"),
        (line(sha256=DIGEST + "\n"), "no digest or size"),
        (line(sha256=5), "5 is no text"),
        (line(mtime="now"), "mtime"),
        (line(mtime=-1), "mtime"),
        (line(mtime=1.5), "mtime"),
        (line(relocate=[["", "text"]]), "unknown relocation"),
        (line(relocate=[["/p", "sed"]]), "unknown relocation"),
        (line(relocate=[["/p"]]), "at line 1"),
        (line(relocate=[[5, "text"]]), "5 is no text"),
        (line(relocate="text"), "at line 1"),
        (line(relocate=5), "at line 1"),
        (line(renew="spec"), "unknown renewal 'spec'"),
        (line(renew=5), "unknown renewal 5"),
        (link("a", ""), "'a' has no target"),
        (link("a", "x\0"), "'a' has no target"),
        (link("a", 5), "5 is no text"),
        (line(path=""), "is not a relative path"),
        (line(path="/etc/passwd"), "is not a relative path"),
        (line(path="a\0b"), "is not a relative path"),
        (line(path=".."), "does not stay below the prefix"),
        (line(path="../a"), "does not stay below the prefix"),
        (line(path="a/../../b"), "does not stay below the prefix"),
        (line(path="a//b"), "does not stay below the prefix"),
        (line(path="a/"), "does not stay below the prefix"),
        (line(path="./a"), "does not stay below the prefix"),
        (line(path=GENERATION_MARKER), "is ours"),
        (line(path=f"{GENERATION_MARKER}/x"), "is ours"),
        (directory(GENERATION_MARKER), "is ours"),
        (line() + line(), "'a' is listed twice"),
        (line() + directory("a"), "'a' is listed twice"),
        (line() + line(path="a/b"), "'a' is a file and a directory"),
        (link("a", "b") + line(path="a/b"), "'a' is a file and a directory"),
        (link("a", "..") + line(path="b"), "'a' leaves the prefix"),
        (line(path="b") + line(path="a"), "not as it was packed"),
        (line().rstrip(b"\n"), "not as it was packed"),
        (line().replace(b"\n", b"\r\n"), "not as it was packed"),
        (line().replace(b",", b", "), "not as it was packed"),
        (line(mode="644"), "not as it was packed"),
        (line(mtime=EPOCH), "not as it was packed"),
        (line(setuid=True), "not as it was packed"),
        (line(relocate=[]), "not as it was packed"),
        (line(target="b"), "not as it was packed"),
        (directory("c").replace(b"{", b'{"mode":"0755",'), "not as it was packed"),
    ],
)
def test_unusable_lists_are_refused_in_one_line(files: bytes, reason: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_files(files)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        ("a", "b", False),
        ("a", "./b", False),
        ("lib/a", "../bin/b", False),
        ("lib/a", "..", False),
        ("a/b/c", "../../d/../e", False),
        ("a", "..", True),
        ("lib/a", "../..", True),
        ("lib/a", "../../lib/b", True),
        ("lib/a", "b/../../../c", True),
        ("a", "/etc/localtime", False),
        ("a", PLACEHOLDER, False),
        ("a", f"{PLACEHOLDER}/bin/b", False),
        ("lib/a", f"{PLACEHOLDER}/..", True),
        ("lib/a", f"{PLACEHOLDER}/lib/../..", True),
        ("a", f"{PLACEHOLDER}-other/b", True),
    ],
)
def test_links_stay_below_the_prefix_or_name_a_place_of_the_host(path: str, target: str, leaves: bool) -> None:
    assert link_fault(path, target) == ("leaves the prefix" if leaves else None)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lib/__pycache__/x.cpython-311.pyc", "lib/x.py"),
        ("__pycache__/x.cpython-311.opt-1.pyc", "x.py"),
        ("lib/x.pyc", None),
        ("lib/__pycache__/x.py", None),
        ("lib/my__pycache__/x.cpython-311.pyc", None),
    ],
)
def test_source_of_bytecode(path: str, source: str | None) -> None:
    assert source_of_bytecode(path) == source


def test_placeholders_are_as_long_as_condas() -> None:
    assert len(PLACEHOLDER) == 255
