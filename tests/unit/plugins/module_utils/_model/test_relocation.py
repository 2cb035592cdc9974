# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model import relocation
from ansible_collections.airgap.conda.plugins.module_utils._model.relocation import (
    fit_shebang,
    relocate,
    replace_binary,
    replace_text,
    short_shebang,
)
from hypothesis import example, given
from hypothesis import strategies as st

#: Placeholder and prefix; some hold parts of themselves, so that a replacement could make another occurrence.
PAIRS = [
    (b"/old", b"/n"),
    (b"/old", b"/new"),
    (b"/old", b"/old"),
    (b"/aaa", b"/a"),
    (b"aa", b"a"),
    (b"/ab/ab", b"/ab"),
    (b"/ab", b"/"),
    (b"x", b""),
]


def cut(data: bytes, sizes: t.Sequence[int]) -> list[bytes]:
    """Cut *data* into chunks of *sizes*, again and again, empty ones included."""
    chunks, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if turn < len(sizes) else max(1, sizes[turn % len(sizes)])
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


def conda_binary(data: bytes, old: bytes, new: bytes) -> bytes:
    """What conda does (core/portability.py), on all data at once."""

    def padded(match: re.Match[bytes]) -> bytes:
        count = match.group().count(old)
        return match.group().replace(old, new) + b"\0" * (len(old) - len(new)) * count

    return re.sub(re.escape(old) + rb"[^\0]*?\0", padded, data)


def text_of(choices: bytes, old: bytes, new: bytes) -> bytes:
    parts = (old, old, old[:-1], old[1:], new, b"/bin", b"b", b"\0", b"\n", b" ")
    return b"".join(parts[choice % len(parts)] for choice in choices)


#: A pair, and a text of what is in it; bytes that choose are many times faster than lists of texts.
cases = st.builds(
    lambda pair, choices: (*pair, text_of(choices, *pair)), st.sampled_from(PAIRS), st.binary(max_size=20)
)
sizes = st.binary(min_size=1, max_size=5).map(lambda data: [byte % 10 for byte in data])


@given(cases, sizes)
def test_text_is_replaced_wherever_the_chunks_are_cut(case: tuple[bytes, bytes, bytes], sizes: list[int]) -> None:
    old, new, data = case
    assert b"".join(replace_text(cut(data, sizes), old, new)) == data.replace(old, new)


@given(cases, sizes)
@example((b"/ab", b"/", b"/abab\0"), [9])
@example((b"/old", b"/old", b"/old/x\0"), [3])
def test_binary_strings_keep_their_length_wherever_the_chunks_are_cut(
    case: tuple[bytes, bytes, bytes], sizes: list[int]
) -> None:
    old, new, data = case
    replaced = replace_binary(cut(data, sizes), old, new)
    if old in data.rpartition(b"\0")[2]:
        with pytest.raises(ValueError, match="no end"):
            list(replaced)
    else:
        found = b"".join(replaced)
        assert found == conda_binary(data, old, new)
        assert len(found) == len(data)


def test_several_placeholders_in_one_string_are_padded_together() -> None:
    data = b"a\0/old/lib:/old/bin\0b"
    assert b"".join(replace_binary([data], b"/old", b"/n")) == b"a\0/n/lib:/n/bin\0\0\0\0\0b"


def test_a_file_may_carry_several_placeholders() -> None:
    data = b"one /first/x two /second/y"
    relocations = [("/first", "text"), ("/second", "text")]
    assert b"".join(relocate([data], relocations, "/p")) == b"one /p/x two /p/y"


def test_a_prefix_with_odd_bytes_is_written_as_those_bytes() -> None:
    assert b"".join(relocate([b"/old"], [("/old", "text")], "/caf\udce9")) == b"/caf\xe9"


@pytest.mark.parametrize("data", [b"/old/lib", b"a\0/old", b"\0/old/x\n"])
def test_a_string_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no end"):
        b"".join(replace_binary([data], b"/old", b"/n"))


def test_a_string_that_is_followed_for_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relocation, "STRING_MAX", 100)
    with pytest.raises(ValueError, match="longer than 100 bytes"):
        b"".join(replace_binary([b"/old", b"x" * 60, b"x" * 60, b"\0"], b"/old", b"/n"))


def test_a_longer_prefix_is_refused_in_binaries_and_taken_in_text() -> None:
    with pytest.raises(ValueError, match="has 7 bytes, a binary has room for 4"):
        list(relocate([b"/old\0"], [("/old", "binary")], "/longer"))
    assert b"".join(relocate([b"/old\0"], [("/old", "text")], "/longer")) == b"/longer\0"


@given(cases, sizes)
def test_files_without_the_placeholder_stay_as_they_are(case: tuple[bytes, bytes, bytes], sizes: list[int]) -> None:
    old, new, data = case
    data = data.replace(old[:1], b"")
    for mode in ("text", "binary"):
        assert b"".join(relocate(cut(data, sizes), [(old.decode(), mode)], new.decode())) == data


# --- shebangs -------------------------------------------------------------------------------------------------------

#: With it and /bin/python, a first line has 127 bytes.
LONGEST = b"/" + b"p" * 113


@pytest.mark.parametrize(
    ("line", "prefix", "expected"),
    [
        (b"#!/p/bin/python", b"/p", b"#!/p/bin/python"),
        (b"#! /p/bin/python -E", b"/p", b"#! /p/bin/python -E"),
        (b"#!%s/bin/python" % LONGEST, LONGEST, b"#!%s/bin/python" % LONGEST),
        (b"#!%sp/bin/python" % LONGEST, LONGEST + b"p", b"#!/bin/sh\n'''exec' \"%sp/bin/python\""),
        (b"#!%s/bin/python -E" % LONGEST, LONGEST, b"#!/bin/sh\n'''exec' \"%s/bin/python\" -E"),
        (b"#!/p q/bin/python3.11", b"/p q", b"#!/bin/sh\n'''exec' \"/p q/bin/python3.11\""),
        (b"#!/p q/bin/perl", b"/p q", b"#!/usr/bin/env perl"),
        (b"#!/p q/bin/perl -w", b"/p q", b"#!/usr/bin/env -S perl -w"),
        (b"#!/elsewhere/%s/bin/python" % LONGEST, b"/p", b"#!/elsewhere/%s/bin/python" % LONGEST),
        (b"#!/usr/bin/env python", b"/p q", b"#!/usr/bin/env python"),
    ],
)
def test_short_shebang(line: bytes, prefix: bytes, expected: bytes) -> None:
    if b"'''exec'" in expected:
        expected = expected.replace(b"%s", LONGEST) + b" \"$0\" \"$@\"\n' '''"
    assert short_shebang(line, prefix) == expected


@given(
    sizes,
    st.sampled_from([b"", b"#", b"#!", b"#!/p q/bin/python", b"#!/p q/bin/python\nbody\n#!/p q/x", b"x\n#!/p q/b"]),
)
def test_only_a_first_line_is_fitted_wherever_the_chunks_are_cut(sizes: list[int], data: bytes) -> None:
    line, newline, body = data.partition(b"\n")
    expected = (short_shebang(line, b"/p q") if line.startswith(b"#!") else line) + newline + body
    assert b"".join(fit_shebang(cut(data, sizes), b"/p q")) == expected


def installed(directory: Path, name: str, program: str) -> Path:
    """Make a prefix with *program* as its only command *name*."""
    directory.joinpath("bin").mkdir(parents=True)
    directory.joinpath("bin", name).symlink_to(program)
    return directory


def run_script(
    prefix: Path, first: bytes, body: bytes, *, how: t.Sequence[str] = (), path: str = "/usr/bin:/bin"
) -> str:
    """Relocate a script to *prefix* and run it with one argument that holds a space."""
    script = prefix / "bin" / "script"
    script.write_bytes(b"".join(relocate([b"#!/old/bin/" + first + b"\n" + body], [("/old", "text")], str(prefix))))
    script.chmod(0o755)
    done = subprocess.run([*how, str(script), "a b"], env={"PATH": path}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def long_prefix(tmp_path: Path, line: int, command: str) -> Path:
    """Return a path with which a first line for *command* has *line* bytes."""
    missing = line - len(f"#!{tmp_path}//bin/{command}")
    assert missing > 0, "the directory of the tests is too deep"
    return tmp_path / ("p" * missing)


PRINT_ARGUMENTS = b"import sys\nprint(sys.argv[1:], sys.flags.ignore_environment)\n"


@pytest.mark.parametrize("length", [127, 128, 240])
def test_python_scripts_run_unactivated_however_long_the_prefix(tmp_path: Path, length: int) -> None:
    prefix = installed(long_prefix(tmp_path, length, "python"), "python", sys.executable)
    assert run_script(prefix, b"python", PRINT_ARGUMENTS) == "['a b'] 0\n"
    assert (prefix / "bin/script").read_bytes().startswith(b"#!/bin/sh\n" if length > 127 else b"#!/")


def test_python_scripts_keep_their_options_and_run_where_the_prefix_has_spaces(tmp_path: Path) -> None:
    prefix = installed(tmp_path / "my envs", "python3", sys.executable)
    assert run_script(prefix, b"python3 -E", PRINT_ARGUMENTS) == "['a b'] 1\n"
    assert run_script(prefix, b"python3", PRINT_ARGUMENTS, how=["/bin/sh"]) == "['a b'] 0\n"


@pytest.mark.parametrize("options", [b"", b" -e", b" -e -f"])
def test_other_scripts_run_in_the_activated_environment(tmp_path: Path, options: bytes) -> None:
    prefix = installed(long_prefix(tmp_path, 140, "tool"), "tool", "/bin/sh")
    path = os.pathsep.join([str(prefix / "bin"), "/usr/bin:/bin"])
    assert run_script(prefix, b"tool" + options, b'echo "$1 $-"\n', path=path).startswith("a b ")
