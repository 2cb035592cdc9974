# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import packing
from ansible_collections.airgap.conda.plugins.module_utils._builder.canonical import to_placeholder
from ansible_collections.airgap.conda.plugins.module_utils._builder.leaks import LeakRules, Trace, Watch
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import (
    Packing,
    bytecode_placeholders,
    bytecode_time,
    canonical_mode,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
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
    parse_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import Manifest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    CONDA_PLACEHOLDER,
    SITE,
    Handmade,
    PackageFile,
)
from hypothesis import given
from hypothesis import strategies as st

OLD = CONDA_PLACEHOLDER.encode()
HERE = ((PLACEHOLDER, TEXT),)

#: Of its source a second before 2023-03-28, as packages have it.
SOURCE_TIME = 1_680_000_000


def pyc(*names: bytes) -> bytes:
    """Return bytecode as packages ship it: header, time of the source, and the paths it names."""
    return b"\xa7\r\r\n" + b"\0" * 4 + SOURCE_TIME.to_bytes(4, "little") + b"\0\0\0\0" + b"\0".join([b"code", *names])


TOOL = {
    "bin/tool": PackageFile(b"#!/bin/sh\necho " + OLD + b"\n", 0o755, "text"),
    "lib/libtool.so.1": PackageFile(b"\x7fELF\0" + OLD + b"/lib\0end\0", 0o755, "binary"),
    "lib/libtool.so": PackageFile(target="libtool.so.1"),
    "share/plain": PackageFile(b"plain", 0o664),
}
PYTHON = {
    "bin/python3.11": PackageFile(b"\x7fELF python", 0o755),
    "bin/python": PackageFile(target="python3.11"),
    "lib/python3.11/os.py": PackageFile(b"import sys\n"),
    "lib/python3.11/__pycache__/os.cpython-311.pyc": PackageFile(pyc(b"/b/_h_env_placehold_placehold_pla/lib/os.py")),
}
NOARCH = {"site-packages/lib_a/__init__.py": PackageFile(b"NAME = 'a'\n")}


def fill(made: Handmade) -> Handmade:
    """Install all of the above, and what pip and people add."""
    made.install("python", PYTHON, version="3.11.4", depends=["__glibc >=2.17"])
    made.install("tool", TOOL)
    made.install_noarch("lib_a", NOARCH, ["lib-a"])
    here = str(made.prefix)
    made.put("bin/pip-tool", f"#!{here}/bin/python\nprint()\n".encode(), 0o755)
    record = (
        "../../../bin/pip-tool,sha256=old,1\nown/__init__.py,sha256=x,1\nown/__pycache__/__init__.cpython-311.pyc,,\n"
    )
    made.put(f"{SITE}/own-1.dist-info/RECORD", record.encode())
    made.put(f"{SITE}/own-1.dist-info/WHEEL", b"Tag: cp311-cp311-manylinux_2_28_x86_64\n")
    made.put(f"{SITE}/own/__init__.py", b"x")
    made.put(f"{SITE}/own/__pycache__/__init__.cpython-311.pyc", pyc(here.encode()))
    made.put("etc/own.conf", f"home = {here}; other = {here}-tools; {here}\n".encode(), 0o640)
    made.link("lib/absolute", f"{here}/bin/tool")
    made.link("lib/localtime", "/etc/localtime")
    made.link("lib/neighbour", f"{here}-tools/bin")
    (made.prefix / "var/empty").mkdir(parents=True)
    return made


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    return fill(Handmade(tmp_path / "builder"))


class Packed(t.NamedTuple):
    """An archive of an environment, its list, and its manifest."""

    manifest: Manifest
    entries: dict[str, Entry]
    directory: Path


def pack(made: Handmade, directory: Path) -> Packed:
    directory.mkdir()
    manifest = Packing(str(made.prefix), Progress()).pack(str(directory), "env", "linux-64")
    entries = parse_files(gzip.decompress((directory / manifest.files.file).read_bytes()))
    return Packed(manifest, {entry.path: entry for entry in entries}, directory)


def staged(packed: Packed, prefix: str, root: Path) -> Path:
    """Deploy the archive as a host does it, but for bytecode and registration."""
    staging = Staging(str(root), prefix, os.geteuid(), os.getegid())
    with open(packed.directory / packing.ARCHIVE_NAME, "rb", buffering=0) as archive:
        entries = list(packed.entries.values())
        staging.lay_out(entries)
        staging.extract(entries, packed.manifest.carriers, "zstd", t.cast(t.BinaryIO, archive), Progress())
    staging.renew(entries)
    return root


def refused(made: Handmade, tmp_path: Path) -> str:
    """Return why packing is refused, in one line; a plan is refused alike."""
    with pytest.raises(PackError) as planned:
        Packing(str(made.prefix), Progress()).content_id()
    with pytest.raises(PackError) as caught:
        pack(made, tmp_path / "dist")
    assert str(caught.value) == str(planned.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is packed, and how ----------------------------------------------------------------------------------------


@pytest.fixture
def packed(made: Handmade, tmp_path: Path) -> Packed:
    return pack(made, tmp_path / "dist")


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


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_binary_of_no_package_that_names_the_prefix_is_refused(made: Handmade, tmp_path: Path) -> None:
    made.put("lib/own.so", b"\x7fELF\0" + os.fsencode(made.prefix) + b"/lib\0")
    assert refused(made, tmp_path).startswith(
        f"lib/own.so is a binary that names {made.prefix} and belongs to no conda package, so it cannot be relocated;"
    )


def test_a_binary_of_no_package_that_names_a_neighbour_is_packed(made: Handmade, tmp_path: Path) -> None:
    data = b"\x7fELF\0" + os.fsencode(made.prefix) + b"-tools/lib\0"
    made.put("lib/own.so", data)
    assert pack(made, tmp_path / "dist").entries["lib/own.so"].sha256 == hashlib.sha256(data).hexdigest()


def test_files_of_packages_that_someone_changed_are_refused(made: Handmade, tmp_path: Path) -> None:
    for path in ("bin/tool", "share/plain"):
        made.prefix.joinpath(path).unlink()
        made.put(path, b"changed")
    reason = refused(made, tmp_path)
    assert reason.startswith(
        "files of conda packages were changed after they were installed (tool: bin/tool and 1 more);"
    )


def test_a_copied_file_of_a_package_is_none_that_was_changed(made: Handmade, packed: Packed, tmp_path: Path) -> None:
    path = made.prefix / "share/plain"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert pack(made, tmp_path / "again").manifest.content_id == packed.manifest.content_id


def test_a_missing_file_of_a_package_is_refused(made: Handmade, tmp_path: Path) -> None:
    (made.prefix / "share/plain").unlink()
    reason = refused(made, tmp_path)
    assert "deleted/overwritten" in reason and "share/plain" in reason


def test_a_damaged_package_cache_is_refused(made: Handmade, tmp_path: Path) -> None:
    cached = made.cache / "tool-1.0-0/bin/tool"
    cached.write_bytes(cached.read_bytes().replace(b"echo", b"evil"))
    assert refused(made, tmp_path) == "bin/tool is damaged in the package cache; empty the cache and build again"


def test_an_empty_package_cache_is_refused(made: Handmade, tmp_path: Path) -> None:
    shutil.rmtree(made.cache / "tool-1.0-0")
    assert refused(made, tmp_path).startswith(f"{made.prefix} cannot be packed: Conda-managed packages were found")


def test_what_is_no_file_is_refused(made: Handmade, tmp_path: Path) -> None:
    os.mkfifo(made.prefix / "lib/pipe")
    assert refused(made, tmp_path) == (
        f"{made.prefix}/lib/pipe is neither a file, a link nor a directory; take it out of the environment"
    )


def test_what_is_no_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="is not a conda environment"):
        Packing(str(tmp_path), Progress())


def test_a_package_that_names_the_builder_is_refused(made: Handmade, tmp_path: Path) -> None:
    made.install("evil", {"share/evil": PackageFile(b"built in " + os.fsencode(made.prefix) + b"/x")})
    assert refused(made, tmp_path).startswith(f"share/evil would carry the builder's path {made.prefix}, which no host")


def test_a_package_lost_from_the_cache_in_part_is_refused(made: Handmade, tmp_path: Path) -> None:
    (made.cache / "tool-1.0-0/share/plain").unlink()
    assert refused(made, tmp_path) == (
        f"{made.cache}/tool-1.0-0/share/plain is missing; if it is the package cache's, empty that and build again"
    )


@pytest.mark.parametrize("name", ["easy-install.pth", "own.egg-link"])
def test_what_leads_out_of_the_environment_is_refused(made: Handmade, tmp_path: Path, name: str) -> None:
    made.put(f"{SITE}/{name}", f"{made.prefix}/lib\n/home/ann/src\n".encode())
    assert refused(made, tmp_path).startswith(f"{SITE}/{name} leads to /home/ann/src, outside of the environment")


def test_what_leads_about_inside_is_packed(made: Handmade, tmp_path: Path) -> None:
    made.put(f"{SITE}/own.pth", f"import sys; sys.path\n{made.prefix}/lib\nbelow\n# /x\n".encode())
    assert pack(made, tmp_path / "dist").entries[f"{SITE}/own.pth"].relocations == HERE


def test_a_binary_that_may_name_the_builder_is_packed_as_it_is(made: Handmade, tmp_path: Path) -> None:
    data = b"\0" + os.fsencode(made.prefix) + b"/lib\0"
    made.put("lib/own.so", data)
    run = Packing(str(made.prefix), Progress(), LeakRules(exempt=("lib/own*",)))
    run.pack(str(tmp_path), "env", "linux-64")
    assert [(leak.path, leak.trace.text) for leak in run.leaks] == [("lib/own.so", str(made.prefix))]


def test_an_origin_in_the_builders_files_is_packed_as_a_name(made: Handmade, tmp_path: Path) -> None:
    origin = f"{SITE}/own-1.dist-info/direct_url.json"
    made.put(origin, b'{"url": "file:///home/ann/own-1-py3-none-any.whl", "archive_info": {}}')
    made.put(f"{SITE}/own-1.dist-info/RECORD", b"own-1.dist-info/direct_url.json,sha256=old,1\n")
    root = staged(pack(made, tmp_path / "dist"), "/opt/envs/ml", tmp_path / "host")
    text = (root / origin).read_bytes()
    assert json.loads(text)["url"] == "file:///own-1-py3-none-any.whl"
    digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    record = (root / f"{SITE}/own-1.dist-info/RECORD").read_text()
    assert record == f"own-1.dist-info/direct_url.json,sha256={digest},{len(text)}\n"


def test_what_conda_pack_passes_over_at_the_top_is_packed(made: Handmade, tmp_path: Path) -> None:
    made.put("users/guide/note.txt", f"in {made.prefix}".encode())
    made.put("draft~", b"kept")
    made.link("users/link", "guide")
    (made.prefix / "users/empty").mkdir()
    entries = pack(made, tmp_path / "dist").entries
    assert entries["users/guide/note.txt"].relocations == HERE
    assert {"draft~", "users/link", "users/empty"} <= set(entries)


# --- paths that several packages bring ------------------------------------------------------------------------------


def claimed(made: Handmade, winner: str) -> None:
    """Two packages bring one path, as conda leaves that: both records name it, one file is there."""
    for name in ("tool-a", "tool-b"):
        if (made.prefix / "share/both").exists():
            (made.prefix / "share/both").unlink()
        made.install(name, {"share/both": PackageFile(f"of {name}".encode()), f"share/{name}": PackageFile(b"own")})
    (made.prefix / "share/both").unlink()
    os.link(made.cache / f"{winner}-1.0-0/share/both", made.prefix / "share/both")


@pytest.mark.parametrize(("winner", "loser"), [("tool-a", "tool-b"), ("tool-b", "tool-a")])
def test_of_two_packages_the_one_whose_file_is_there_has_the_path(
    made: Handmade, tmp_path: Path, winner: str, loser: str
) -> None:
    claimed(made, winner)
    root = staged(pack(made, tmp_path / "dist"), "/opt/envs/ml", tmp_path / "host")
    assert (root / "share/both").read_text() == f"of {winner}"
    named = {name: json.loads((root / f"conda-meta/{name}-1.0-0.json").read_text()) for name in (winner, loser)}
    assert sorted(named[winner]["files"]) == ["share/both", f"share/{winner}"]
    assert named[loser]["files"] == [f"share/{loser}"]
    assert [path["_path"] for path in named[loser]["paths_data"]["paths"]] == [f"share/{loser}"]


def test_what_rattler_kept_of_the_loser_stays_behind(made: Handmade, tmp_path: Path) -> None:
    claimed(made, "tool-a")
    record = made.prefix / "conda-meta/tool-b-1.0-0.json"
    moved = "__clobbers__/tool-b/share/both"
    record.write_text(record.read_text().replace('"share/both"', f'"{moved}"'))
    made.put(moved, b"of tool-b")
    packed = pack(made, tmp_path / "dist")
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    assert (root / "share/both").read_text() == "of tool-a"
    assert json.loads((root / "conda-meta/tool-b-1.0-0.json").read_text())["files"] == ["share/tool-b"]
    assert not any(path.startswith("__clobbers__") for path in packed.entries)


def test_a_link_that_two_packages_bring_travels_though_it_leads_nowhere(made: Handmade, tmp_path: Path) -> None:
    for name in ("tool-a", "tool-b"):
        (made.prefix / "lib/both").unlink(missing_ok=True)
        made.install(name, {"lib/both": PackageFile(target="nowhere")})
    assert pack(made, tmp_path / "dist").entries["lib/both"].target == "nowhere"


def test_a_path_that_is_none_of_theirs_is_refused(made: Handmade, tmp_path: Path) -> None:
    claimed(made, "tool-a")
    (made.prefix / "share/both").unlink()
    made.put("share/both", b"of somebody")
    assert "changed after they were installed" in refused(made, tmp_path)


def test_an_environment_that_changes_meanwhile_is_refused(made: Handmade, tmp_path: Path) -> None:
    packing_run = Packing(str(made.prefix), Progress())
    members = packing_run.members()
    made.put("etc/own.conf", b"longer than it was before, by far\n" * 50)
    packing_run.members = lambda: members  # type: ignore[method-assign]
    (tmp_path / "dist").mkdir()
    with pytest.raises(PackError, match=r"^etc/own\.conf changed while it was packed"):
        packing_run.pack(str(tmp_path / "dist"), "env", "linux-64")


def test_names_that_are_no_text_travel(made: Handmade, tmp_path: Path) -> None:
    (made.prefix / "share/caf\udce9").write_bytes(b"odd")
    packed = pack(made, tmp_path / "dist")
    assert "share/caf\udce9" in packed.entries
    root = staged(packed, "/opt/envs/ml", tmp_path / "host")
    assert b"caf\xe9" in os.listdir(os.fsencode(root / "share"))


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
