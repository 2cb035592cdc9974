# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import packing
from ansible_collections.airgap.conda.plugins.module_utils._builder.canonical import to_placeholder
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import Trace, Watch
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import (
    Packing,
    bytecode_placeholders,
    bytecode_time,
    canonical_mode,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.files import (
    BINARY,
    BYTECODE,
    CONDA_META,
    DIRECTORY,
    EPOCH,
    FILE,
    LINK,
    PLACEHOLDER,
    TEXT,
    WHEEL_RECORD,
    Entry,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    CONDA_PLACEHOLDER,
    SITE,
    Handmade,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.packed import (
    HERE,
    OLD,
    SOURCE_TIME,
    TOOL,
    Packed,
    fill,
    pack,
    pyc,
    staged,
)
from hypothesis import given
from hypothesis import strategies as st

# --- what is packed, and how ----------------------------------------------------------------------------------------


def test_files_of_packages_keep_their_placeholder(packed: Packed) -> None:
    tool, library = packed.entries["bin/tool"], packed.entries["lib/libtool.so.1"]
    assert tool == Entry(
        "bin/tool",
        FILE,
        0o755,
        len(TOOL["bin/tool"].data),
        hashlib.sha256(TOOL["bin/tool"].data).hexdigest(),
        relocations=((CONDA_PLACEHOLDER, TEXT),),
    )
    assert library.relocations == ((CONDA_PLACEHOLDER, BINARY),)
    assert library.sha256 == hashlib.sha256(TOOL["lib/libtool.so.1"].data).hexdigest()
    assert packed.entries["lib/libtool.so"] == Entry("lib/libtool.so", LINK, target="libtool.so.1")
    assert packed.entries["share/plain"].relocations == ()


def test_only_whole_paths_of_the_builder_become_the_placeholder(packed: Packed, made: Handmade) -> None:
    text = f"home = {PLACEHOLDER}; other = {made.prefix}-tools; {PLACEHOLDER}\n".encode()
    entry = packed.entries["etc/own.conf"]
    assert (entry.relocations, entry.size, entry.sha256) == (HERE, len(text), hashlib.sha256(text).hexdigest())
    assert packed.entries["bin/pip-tool"].relocations == HERE


def test_commands_of_noarch_packages_are_packed_like_what_they_are(packed: Packed) -> None:
    text = f"#!{PLACEHOLDER}/bin/python\nimport lib_a\n".encode()
    entry = packed.entries["bin/lib-a"]
    assert (entry.mode, entry.relocations, entry.sha256) == (0o755, HERE, hashlib.sha256(text).hexdigest())
    assert packed.entries[f"{SITE}/lib_a/__init__.py"].relocations == ()


def test_bytecode_of_packages_travels_and_other_bytecode_does_not(packed: Packed) -> None:
    found = [path for path in packed.entries if path.endswith(".pyc")]
    assert found == ["lib/python3.11/__pycache__/os.cpython-311.pyc"]
    assert packed.entries[found[0]].relocations == (("/b/_h_env_placehold_placehold_pla", BYTECODE),)
    assert packed.entries["lib/python3.11/os.py"].mtime == SOURCE_TIME
    assert packed.entries[f"{SITE}/own/__init__.py"].mtime == EPOCH
    assert not any("__pycache__" in path and SITE in path for path in packed.entries)


def test_links_into_the_prefix_follow_it(packed: Packed, made: Handmade) -> None:
    assert packed.entries["lib/absolute"] == Entry(
        "lib/absolute", LINK, target=f"{PLACEHOLDER}/bin/tool", relocations=HERE
    )
    assert packed.entries["lib/localtime"] == Entry("lib/localtime", LINK, target="/etc/localtime")
    assert packed.entries["lib/neighbour"].target == f"{made.prefix}-tools/bin"


def test_empty_directories_travel_and_others_are_not_listed(packed: Packed) -> None:
    assert [path for path, entry in packed.entries.items() if entry.type == DIRECTORY] == ["var/empty"]


@pytest.mark.parametrize(
    "path",
    [
        ".conda_lock",
        "CACHEDIR.TAG",
        "conda-meta/.conda_lock",
        "conda-meta/CACHEDIR.TAG",
        "conda-meta/frozen",
        "conda-meta/conda-unpacked",
        "conda-meta/airgap-generation",
        "lib/python3.11/EXTERNALLY-MANAGED",
    ],
)
def test_marks_of_the_place_stay_behind(made: Handmade, packed: Packed, tmp_path: Path, path: str) -> None:
    made.put(path, str(made.prefix).encode())
    again = pack(made, tmp_path / "again")
    assert path not in again.entries
    assert again.manifest.content_id == packed.manifest.content_id


def test_metadata_lists_what_is_packed_and_states_its_digests(packed: Packed, tmp_path: Path) -> None:
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    for name in ("tool", "python", "lib_a"):
        (path,) = root.glob(f"conda-meta/{name}-*.json")
        record = json.loads(path.read_text())
        assert set(record["files"]) <= set(packed.entries)
        assert record["link"]["source"] == record["extracted_package_dir"] == ""
        for stated in record["paths_data"]["paths"]:
            if stated["path_type"] != "softlink":
                assert stated["sha256_in_prefix"] == hashlib.sha256((root / stated["_path"]).read_bytes()).hexdigest()
    assert packed.entries["conda-meta/tool-1.0-0.json"].renews == CONDA_META
    assert (root / "conda-meta/history").read_text().startswith("==> 1980-01-01 00:00:00 <==\n")


def test_a_wheels_record_states_what_is_packed(packed: Packed, tmp_path: Path) -> None:
    entry = packed.entries[f"{SITE}/own-1.dist-info/RECORD"]
    assert entry.renews == WHEEL_RECORD
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    lines = (root / entry.path).read_text().splitlines()
    tool = root / "bin/pip-tool"
    assert [line.split(",")[0] for line in lines] == ["../../../bin/pip-tool", "own/__init__.py"]
    assert lines[0].endswith(f",{tool.stat().st_size}") and "sha256=old" not in lines[0]
    assert lines[1] == "own/__init__.py,sha256=x,1"


def test_nothing_that_is_deployed_names_the_builder(packed: Packed, made: Handmade, tmp_path: Path) -> None:
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    neighbour = f"{made.prefix}-tools".encode()
    for path in (path for path in root.rglob("*") if path.is_file()):
        assert os.fsencode(made.prefix) not in path.read_bytes().replace(neighbour, b"")
        assert PLACEHOLDER.encode() not in path.read_bytes()
    assert (root / "bin/tool").read_bytes() == b"#!/bin/sh\necho /opt/envs/ml\n"
    assert os.readlink(root / "lib/absolute") == "/opt/envs/ml/bin/tool"


def test_what_a_host_needs_is_told(packed: Packed) -> None:
    needs = packed.manifest.needs
    assert (needs.platform, needs.glibc, needs.cuda) == ("linux-64", "2.28", "")
    assert needs.prefix_max == len(CONDA_PLACEHOLDER)
    assert needs.inodes >= len(packed.entries)
    assert needs.size % 4096 == 0


def test_packing_says_how_far_it_is(made: Handmade, tmp_path: Path) -> None:
    said = tmp_path / "progress"
    with Progress(str(said)) as progress:
        Packing(str(made.prefix), progress).content_id()
        lines = said.read_text().splitlines()
    assert lines == ["packing 0/0 MB"]


def test_the_manifest_names_what_was_written(packed: Packed) -> None:
    manifest = packed.manifest
    for piece in (manifest.files, manifest.encodings[0].piece):
        data = (packed.directory / piece.file).read_bytes()
        assert (piece.size, piece.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert manifest.carriers == ("bin/activate", "bin/activate.fish", "bin/conda-unpack", "bin/deactivate")


def test_names_that_are_no_text_travel(made: Handmade, tmp_path: Path) -> None:
    (made.prefix / "share/caf\udce9").write_bytes(b"odd")
    packed = pack(made, tmp_path / "dist")
    assert "share/caf\udce9" in packed.entries
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    assert b"caf\xe9" in os.listdir(os.fsencode(root / "share"))


# --- the same environment is the same bundle ------------------------------------------------------------------------


def test_a_plan_knows_the_content_id(packed: Packed, made: Handmade) -> None:
    assert Packing(str(made.prefix), Progress()).content_id() == packed.manifest.content_id


def test_two_builds_of_one_solution_are_one_bundle(tmp_path: Path) -> None:
    found = set()
    for builder, name, umask in (("ann", "env", 0o022), ("home of/bob", "another-longer-name", 0o077)):
        before = os.umask(umask)
        try:
            made = fill(Handmade(tmp_path / builder, name))
            # What names a path beside the prefix is another for each builder, rightly.
            made.put("etc/own.conf", f"home = {made.prefix}\n".encode(), 0o600 | (0o066 & ~umask))
            (made.prefix / "lib/neighbour").unlink()
            manifest = pack(made, tmp_path / f"dist-{name}").manifest
        finally:
            os.umask(before)
        found.add((manifest.content_id, manifest.tar_sha256, manifest.tar_size))
    assert len(found) == 1


def test_scripts_are_packed_alike_however_long_the_prefix_they_were_made_at(tmp_path: Path) -> None:
    found = set()
    for name in ("short", "l" * 200):
        made = fill(Handmade(tmp_path / name[0], name))
        first = f"#!{made.prefix}/bin/python\n"
        if len(first) > 127:
            first = f"#!/bin/sh\n'''exec' {made.prefix}/bin/python \"$0\" \"$@\"\n' '''\n"
        made.put("bin/pip-tool", f"{first}print()\n".encode(), 0o755)
        entries = pack(made, tmp_path / f"dist-{name[0]}").entries
        found.add((entries["bin/pip-tool"], entries[f"{SITE}/own-1.dist-info/RECORD"]))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("mode", "canonical"),
    [
        (0o644, 0o644),
        (0o600, 0o644),
        (0o664, 0o644),
        (0o666, 0o644),
        (0o755, 0o755),
        (0o700, 0o755),
        (0o775, 0o755),
        (0o4755, 0o755),
        (0o555, 0o555),
        (0o400, 0o444),
        (0o611, 0o644),
    ],
)
def test_modes_are_the_owners_whatever_the_umask_was(made: Handmade, tmp_path: Path, mode: int, canonical: int) -> None:
    made.put("etc/of-mode", b"x", mode)
    assert pack(made, tmp_path / "dist").entries["etc/of-mode"].mode == canonical == canonical_mode(mode)


# --- parts ----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=12), st.binary(min_size=1, max_size=4))
def test_the_closing_check_finds_what_the_canonical_form_would_replace(choices: bytes, cuts: bytes) -> None:
    parts = (b"/envs/ml", b"/envs/ml", b"/envs", b"/ml", b"-tools", b".", b".y", b" ", b"7")
    data = b"".join(parts[choice % len(parts)] for choice in choices)
    sizes, at = [1 + byte % 9 for byte in cuts], 0
    chunks: list[bytes] = []
    while at < len(data):
        chunks.append(data[at : at + sizes[len(chunks) % len(sizes)]])
        at += len(chunks[-1])
    watch = Watch((Trace("the prefix", "/envs/ml"),))
    assert b"".join(watch.over(Entry("x", FILE), chunks)) == data
    assert bool(watch.leaks) == (PLACEHOLDER.encode() in b"".join(to_placeholder([data], "/envs/ml")))


@pytest.mark.parametrize(
    ("head", "time"),
    [
        (pyc(), SOURCE_TIME),
        (b"", None),
        (pyc()[:15], None),
        # Checked by the hash of the source (PEP 552), not by its time.
        (pyc()[:4] + b"\3\0\0\0" + pyc()[8:], None),
    ],
)
def test_the_time_of_the_source_is_in_the_head_of_bytecode(head: bytes, time: int | None) -> None:
    assert bytecode_time(head[:16]) == time


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"x", []),
        (b"\0/b/_h_env_placehold_placehold/lib/x.py\0", ["/b/_h_env_placehold_placehold"]),
        (OLD + b"/lib/x.py", [CONDA_PLACEHOLDER]),
        (
            b"(/a_placeholder_placeholder_pla/x.py\xfa(/b_placehold/y.py",
            ["/a_placeholder_placeholder_pla", "/b_placehold"],
        ),
        (b"a_placehold/x", []),
    ],
)
def test_placeholders_in_bytecode_are_found(data: bytes, found: list[str]) -> None:
    assert bytecode_placeholders(data) == tuple((placeholder, BYTECODE) for placeholder in found)


def test_a_file_is_itself_however_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").touch()
    assert packing.same_file(str(tmp_path / "a"), str(tmp_path / "b"))
    assert not packing.same_file(str(tmp_path / "a"), str(tmp_path / "c"))
    assert stat.S_ISREG((tmp_path / "c").stat().st_mode)
