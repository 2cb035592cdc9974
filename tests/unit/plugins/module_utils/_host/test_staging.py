# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import typing as t
from pathlib import Path

import pytest
import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._host import decoding
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.staging import Staging
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError, RelocationError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import BINARY, EPOCH, Entry
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Item
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import (
    CONDA_PLACEHOLDER,
    Member,
    TinyBundle,
    directory,
    file,
    link,
    make_bundle,
    snapshot,
    tar_of,
    tool_members,
)

PREFIX = "/opt/envs/ml"
ME = (os.geteuid(), os.getegid())


def staging_at(root: Path, prefix: str = PREFIX, owner: tuple[int, int] = ME) -> Staging:
    return Staging(str(root), prefix, *owner)


def extract(
    staging: Staging, entries: t.Sequence[Entry], archive: bytes, codec: str = "zstd", carriers: t.Sequence[str] = ()
) -> None:
    path = Path(staging._root).parent / "archive"
    path.write_bytes(archive)
    with open(path, "rb", buffering=0) as source, Progress() as progress:
        staging.lay_out(entries)
        staging.extract(entries, carriers, codec, t.cast(t.BinaryIO, source), progress)


@pytest.fixture
def bundle(tmp_path: Path) -> TinyBundle:
    return make_bundle(tmp_path / "1.0", tool_members("1.0"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def staged(bundle: TinyBundle, root: Path, prefix: str = PREFIX, owner: tuple[int, int] = ME) -> Staging:
    staging = staging_at(root, prefix, owner)
    extract(staging, bundle.entries, bundle.archive.read_bytes(), bundle.codec, bundle.manifest.carriers)
    staging.renew(bundle.entries)
    return staging


# --- what is staged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_staged_tree_is_what_the_bundle_says_whatever_the_umask(
    tmp_path: Path, root: Path, codec: str, umask: int
) -> None:
    bundle = make_bundle(tmp_path / "1.0", tool_members("1.0"), codec=codec)
    before = os.umask(umask)
    try:
        staged(bundle, root)
    finally:
        os.umask(before)
    found = snapshot(root)
    wanted = {entry.path for entry in bundle.entries}
    parents = {os.path.dirname(path) for path in wanted} - {""}
    assert wanted | parents <= set(found)
    assert "bin/activate" not in found
    assert found["bin/tool"] == (stat.S_IFREG | 0o755, f"#!/bin/sh\necho 1.0 at {PREFIX}\n".encode())
    assert found["etc/caf\udce9"] == (stat.S_IFREG | 0o600, b"odd name")
    assert found["lib/libtool.so"][1] == "libtool.so.1"
    assert found["lib/own"][1] == f"{PREFIX}/bin"
    assert {found[path][0] for path in (*parents, "var/empty")} == {stat.S_IFDIR | 0o755}
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_binaries_keep_their_size_and_nothing_names_a_placeholder(bundle: TinyBundle, root: Path) -> None:
    staged(bundle, root)
    pad = b"\0" * 2 * (len(CONDA_PLACEHOLDER) - len(PREFIX))
    assert (root / "lib/libtool.so.1").read_bytes() == b"\x7fELF\0/opt/envs/ml/lib:/opt/envs/ml" + pad + b"\0end\0"
    assert not any(b"_placehold" in state[1] for state in snapshot(root).values() if isinstance(state[-1], bytes))


def test_times_are_those_of_the_list(bundle: TinyBundle, root: Path) -> None:
    staged(bundle, root)
    assert (root / "bin/tool").stat().st_mtime == EPOCH
    assert (root / "lib/python3.11/site-packages/x.py").stat().st_mtime == 1_680_000_000


def test_the_receipt_says_what_is_there(bundle: TinyBundle, root: Path) -> None:
    items = staged(bundle, root).items
    assert set(items) == set(snapshot(root))
    for path, item in items.items():
        full = root / os.fsencode(path).decode("utf-8", "surrogateescape")
        status = os.lstat(full)
        assert (item.mode, item.uid, item.gid, item.derived) == (stat.S_IMODE(status.st_mode), *ME, False)
        if item.type == "file":
            assert (item.sha256, item.size) == digested(read(str(full)))
        assert item.target == (os.readlink(full) if item.type == "link" else "")
    assert items["lib/own"] == Item("lib/own", "link", "", 0, 0o777, *ME, f"{PREFIX}/bin", False)


def test_records_state_the_digests_of_what_was_relocated(bundle: TinyBundle, root: Path) -> None:
    staged(bundle, root)
    record = json.loads((root / "conda-meta/tool-1.0-0.json").read_text())
    tool = (root / "bin/tool").read_bytes()
    assert record["paths_data"]["paths"][0]["sha256_in_prefix"] == hashlib.sha256(tool).hexdigest()
    (line,) = (root / "lib/python3.11/site-packages/x-1.dist-info/RECORD").read_text().splitlines()
    assert line.startswith("x.py,sha256=") and not line.startswith("x.py,sha256=old")
    assert line.endswith(f",{(root / 'lib/python3.11/site-packages/x.py').stat().st_size}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_all_belongs_to_the_owner(bundle: TinyBundle, root: Path) -> None:
    items = staged(bundle, root, owner=(1234, 5678)).items
    owners = {(os.lstat(root / path).st_uid, os.lstat(root / path).st_gid) for path in snapshot(root)}
    assert owners == {(1234, 5678)} == {(item.uid, item.gid) for item in items.values()}
    assert (root.stat().st_uid, root.stat().st_gid) == (1234, 5678)


def test_a_prefix_that_a_binary_cannot_hold_is_refused(bundle: TinyBundle, root: Path) -> None:
    with pytest.raises(
        RelocationError, match=r"^'lib/libtool\.so\.1' cannot carry /p+: the prefix has 250 bytes"
    ) as caught:
        staged(bundle, root, "/" + "p" * 249)
    assert "\n" not in str(caught.value)


def test_a_binary_string_without_end_is_refused(tmp_path: Path, root: Path) -> None:
    member = file("lib/x.so", CONDA_PLACEHOLDER.encode(), 0o755, ((CONDA_PLACEHOLDER, BINARY),))
    with pytest.raises(RelocationError, match=r"^'lib/x\.so' cannot carry /opt/envs/ml: a string .* has no end"):
        staged(make_bundle(tmp_path / "x", [member]), root)


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.fixture
def fenced(tmp_path: Path) -> t.Iterator[Path]:
    """Return where to stage; nothing outside it may change."""
    fence = tmp_path / "fence"
    (fence / "outside").mkdir(parents=True)
    (fence / "outside/file").write_text("mine")
    before = snapshot(fence)
    times = os.stat(fence / "outside/file").st_mtime_ns
    yield fence / "staging"
    after = snapshot(fence, "staging")
    after.pop("staging", None)
    after.pop("archive", None)
    assert after == before
    assert os.stat(fence / "outside/file").st_mtime_ns == times
    assert os.stat(fence / "outside/file").st_nlink == 1


def assert_refused(root: Path, entries: t.Sequence[Entry], archive: bytes, codec: str, reason: str = "") -> None:
    with pytest.raises(DeployError) as caught:
        extract(staging_at(root), entries, archive, codec, ("bin/activate",))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


DECODERS = ["library", "program", "gzip"]


@pytest.fixture(params=DECODERS)
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make this decoder the one that is chosen; return the codec it decodes."""
    if request.param == "gzip":
        return "gzip"
    library = decoding._libzstd() if request.param == "library" else None
    monkeypatch.setattr(decoding, "_libzstd", lambda: library)
    if decoding._zstd_decoder() is None:
        pytest.skip("this machine does not have it")
    return "zstd"


def test_a_cut_archive_is_refused_wherever_it_is_cut(tmp_path: Path, codec: str, fenced: Path) -> None:
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(200))
    bundle = make_bundle(tmp_path / "1.0", [*tool_members("1.0"), file("noise", noise)], codec=codec)
    whole = bundle.archive.read_bytes()
    fenced.mkdir()
    for length in {*range(0, len(whole), 97), *range(len(whole) - 5, len(whole))}:
        assert_refused(fenced / str(length), bundle.entries, whole[:length], codec)


def test_flipped_bits_are_refused_or_make_no_difference(tmp_path: Path, codec: str, fenced: Path) -> None:
    bundle = make_bundle(tmp_path / "1.0", tool_members("1.0"), codec=codec)
    whole = bundle.archive.read_bytes()
    fenced.mkdir()
    staged(bundle, fenced / "right")
    right = snapshot(fenced / "right")
    for offset in range(0, len(whole), 41):
        damaged = whole[:offset] + bytes([whole[offset] ^ 1 << offset % 8]) + whole[offset + 1 :]
        staging = staging_at(fenced / str(offset))
        try:
            extract(staging, bundle.entries, damaged, codec, bundle.manifest.carriers)
        except DeployError as error:
            assert "\n" not in str(error)
        else:
            staging.renew(bundle.entries)
            assert snapshot(fenced / str(offset)) == right


def test_flipped_bits_within_the_tar_are_refused_or_make_no_difference(tmp_path: Path, fenced: Path) -> None:
    bundle = make_bundle(tmp_path / "1.0", tool_members("1.0"))
    tar = zstandard.ZstdDecompressor().stream_reader(bundle.archive.read_bytes()).read()
    fenced.mkdir()
    staged(bundle, fenced / "right")
    right = snapshot(fenced / "right")
    for offset in range(0, len(tar), 53):
        damaged = tar[:offset] + bytes([tar[offset] ^ 1 << offset % 8]) + tar[offset + 1 :]
        staging = staging_at(fenced / str(offset))
        try:
            extract(staging, bundle.entries, gzip.compress(damaged, 1), "gzip", bundle.manifest.carriers)
        except DeployError as error:
            assert "\n" not in str(error)
        else:
            staging.renew(bundle.entries)
            assert snapshot(fenced / str(offset)) == right


def tar(*infos: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a tar, as gzip, that nobody of us would write."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, data in infos:
            made.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue())


def info(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: t.Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.size = len(data)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, data


#: What the list says.
GOOD = [file("a", b"good"), link("b", "a"), directory("c"), file("d/e", b"deep")]
#: The archive of just that.
A, B, C, E = (
    info("a", data=b"good"),
    info("b", tarfile.SYMTYPE, linkname="a"),
    info("c", tarfile.DIRTYPE),
    info("d/e", data=b"deep"),
)


def test_the_tars_of_these_tests_are_right_but_for_what_they_change(fenced: Path) -> None:
    extract(staging_at(fenced), [member.entry for member in GOOD], tar(A, B, C, E), "gzip")
    assert (fenced / "d/e").read_bytes() == b"deep"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([A, B, C], "it lacks 'd/e' and 0 more"),
        ([], "it lacks 'a' and 3 more"),
        ([A, B, C, E, info("f", data=b"more")], "holds 'f', which the file list does not"),
        ([A, A, B, C, E], "holds 'a', which the file list does not"),
        ([A, B, C, E, info("d", tarfile.DIRTYPE)], "which the file list does not"),
        ([info("../outside/file", data=b"evil"), A, B, C, E], "holds '../outside/file', which"),
        ([info("/tmp/evil", data=b"evil"), A, B, C, E], "which the file list does not"),
        ([info("./a", data=b"good"), B, C, E], "which the file list does not"),
        ([info("d/../a", data=b"good"), B, C, E], "which the file list does not"),
        ([info("a", data=b"evil"), B, C, E], "'a' in the archive is damaged"),
        ([info("a", data=b"longer"), B, C, E], "'a' in the archive is not the file of the file list"),
        ([info("a"), B, C, E], "'a' in the archive is not the file of the file list"),
        ([info("a", tarfile.LNKTYPE, linkname="../outside/file"), B, C, E], "'a' in the archive is not the file"),
        ([info("a", tarfile.SYMTYPE, linkname="../outside/file"), B, C, E], "'a' in the archive is not the file"),
        ([info("a", tarfile.CHRTYPE, devmajor=1, devminor=3), B, C, E], "'a' in the archive is not the file"),
        ([info("a", tarfile.BLKTYPE, devmajor=8, devminor=0), B, C, E], "'a' in the archive is not the file"),
        ([info("a", tarfile.FIFOTYPE), B, C, E], "'a' in the archive is not the file"),
        ([info("a", tarfile.DIRTYPE), B, C, E], "in the archive is not the file of the file list"),
        ([A, info("b", tarfile.SYMTYPE, linkname="../outside"), C, E], "'b' in the archive is not the link"),
        ([A, info("b", tarfile.SYMTYPE, linkname="/etc/passwd"), C, E], "'b' in the archive is not the link"),
        ([A, info("b", tarfile.LNKTYPE, linkname="a"), C, E], "'b' in the archive is not the link"),
        ([A, info("b", data=b"a"), C, E], "'b' in the archive is not the link"),
        ([A, B, info("c", tarfile.SYMTYPE, linkname="../outside"), E], "'c' in the archive is not the dir"),
        ([A, B, info("c", data=b""), E], "'c' in the archive is not the dir"),
        ([A, B, C, info("d", tarfile.SYMTYPE, linkname="../outside"), E], "holds 'd', which"),
    ],
)
def test_hostile_archives_are_refused(fenced: Path, members: list[tuple[tarfile.TarInfo, bytes]], reason: str) -> None:
    assert_refused(fenced, [member.entry for member in GOOD], tar(*members), "gzip", reason)


def test_a_sparse_file_is_refused(tmp_path: Path, fenced: Path) -> None:
    header = info("a", tarfile.GNUTYPE_SPARSE, b"good")[0]
    buffer = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    # One region of four bytes, and as much in all; then the checksum anew.
    buffer[386:410] = b"%011o\0%011o\0" % (0, 4)
    buffer[483:495] = b"%011o\0" % 4
    buffer[148:156] = b" " * 8
    buffer[148:156] = b"%06o\0 " % sum(buffer)
    whole = bytes(buffer) + b"good".ljust(512, b"\0") + b"\0" * 1024
    with tarfile.open(fileobj=io.BytesIO(whole)) as made:
        assert made.getmembers()[0].issparse()
    assert_refused(
        fenced, [file("a", b"good").entry], gzip.compress(whole), "gzip", "'a' in the archive is not the file"
    )


def test_carriers_are_passed_over(fenced: Path) -> None:
    entries = [member.entry for member in GOOD]
    carrier = info("bin/activate", data=b"# for people")
    extract(staging_at(fenced), entries, tar(A, B, C, E, carrier), "gzip", ["bin/activate"])
    assert not (fenced / "bin").exists()


@pytest.mark.parametrize(
    "evil",
    [
        [info("bin/activate", tarfile.SYMTYPE, linkname="../../outside/file")],
        [info("bin/activate", data=b"x"), info("bin/activate", data=b"x")],
    ],
)
def test_what_only_poses_as_a_carrier_is_refused(fenced: Path, evil: t.List[t.Any]) -> None:
    entries = [member.entry for member in GOOD]
    archive = tar(A, B, C, E, *evil)
    with pytest.raises(DeployError, match="in a form that no carrier file has; it is refused"):
        extract(staging_at(fenced), entries, archive, "gzip", ["bin/activate"])


@pytest.mark.parametrize("archive", [b"", b"\0" * 10240, b"no tar at all" * 100], ids=["empty", "zeros", "text"])
def test_what_is_no_tar_is_refused(fenced: Path, archive: bytes) -> None:
    entries = [member.entry for member in GOOD]
    assert_refused(fenced, entries, gzip.compress(archive), "gzip")


@pytest.mark.parametrize("archive", [b"", b"neither zstd nor gzip"])
def test_what_is_not_encoded_is_refused(fenced: Path, codec: str, archive: bytes) -> None:
    assert_refused(fenced, [member.entry for member in GOOD], archive, codec)


def test_a_name_in_the_archive_is_told_without_its_line_breaks(fenced: Path) -> None:
    assert_refused(fenced, [], tar(info("a\nb", data=b"x")), "gzip", r"'a\nb'")


def test_odd_and_long_names_are_carried(tmp_path: Path, root: Path) -> None:
    members: list[Member] = [file("caf\udce9"), file("\u00fcber"), link("l\udce9", "caf\udce9"), file("n" * 120)]
    path = tmp_path / "archive.tar.zst"
    tar_of(members, path).close()
    extract(staging_at(root), [member.entry for member in members], path.read_bytes())
    assert sorted(os.listdir(os.fsencode(root))) == sorted([b"caf\xe9", "\u00fcber".encode(), b"l\xe9", b"n" * 120])


# --- what is added --------------------------------------------------------------------------------------------------


def test_what_is_added_and_adopted_is_in_the_receipt(root: Path) -> None:
    staging = staging_at(root)
    extract(staging, [file("lib/x.py").entry], tar(info("lib/x.py")), "gzip")
    staging.add("marker", b"0001\n", 0o644, EPOCH)
    (root / "lib/__pycache__").mkdir(mode=0o700)
    (root / "lib/__pycache__/x.pyc").write_bytes(b"code")
    staging.adopt_directory("lib/__pycache__")
    staging.adopt("lib/__pycache__/x.pyc", 0o644)
    (root / "lib/x.py").write_bytes(b"new")
    staging.rewritten("lib/x.py", 0o600, 5)
    sha256 = {text: hashlib.sha256(text).hexdigest() for text in (b"0001\n", b"code", b"new")}
    assert staging.items["marker"] == Item("marker", "file", sha256[b"0001\n"], 5, 0o644, *ME, "", False)
    assert staging.items["lib/__pycache__"] == Item("lib/__pycache__", "dir", "", 0, 0o755, *ME, "", True)
    assert staging.items["lib/__pycache__/x.pyc"] == Item(
        "lib/__pycache__/x.pyc", "file", sha256[b"code"], 4, 0o644, *ME, "", True
    )
    assert staging.items["lib/x.py"] == Item("lib/x.py", "file", sha256[b"new"], 3, 0o600, *ME, "", False)
    assert stat.S_IMODE((root / "lib/__pycache__").stat().st_mode) == 0o755
    assert (root / "lib/x.py").stat().st_mtime == 5


def test_nothing_is_written_through_a_link_that_is_there_already(root: Path, tmp_path: Path) -> None:
    staging = staging_at(root)
    extract(staging, [], tar(), "gzip")
    (tmp_path / "outside").write_text("mine")
    (root / "marker").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError):
        staging.add("marker", b"evil", 0o644, EPOCH)
    assert (tmp_path / "outside").read_text() == "mine"
