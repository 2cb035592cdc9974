# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
import zstandard
from ansible_collections.airgap.conda.plugins.module_utils._builder import archive
from ansible_collections.airgap.conda.plugins.module_utils._builder.archive import ArchiveWriter
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import DIRECTORY, EPOCH, FILE, LINK, Entry
from hypothesis import given
from hypothesis import strategies as st

BODY = bytes(range(256)) * 20

#: One of everything, names and targets that plain tar cannot hold included.
MEMBERS: tuple[tuple[Entry, bytes], ...] = (
    (Entry("bin/tool", FILE, 0o755, len(BODY), mtime=1_680_000_000), BODY),
    (Entry("caf\udce9\u00fc", FILE, 0o644, 1), b"x"),
    (Entry("empty", FILE, 0o600), b""),
    (Entry("d" * 120 + "/" + "n" * 120, FILE, 0o644, 512), b"y" * 512),
    (Entry("lib/dir", DIRECTORY), b""),
    (Entry("lib/link", LINK, target="dir"), b""),
    (Entry("lib/long", LINK, target="t" * 150 + "\udce9"), b""),
)


def written(path: Path, members: t.Sequence[tuple[Entry, bytes]] = MEMBERS) -> ArchiveWriter:
    writer = ArchiveWriter(str(path))
    for entry, data in members:
        writer.add(entry, [data])
    return writer


def decoded(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


def test_what_is_said_of_an_archive_is_true(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.zst"
    writer = written(path)
    encoding = writer.close()
    tar = decoded(path)
    assert (writer.tar_size, writer.tar_sha256.hexdigest()) == (len(tar), hashlib.sha256(tar).hexdigest())
    assert encoding.piece == (path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (encoding.codec, encoding.level) == ("zstd", archive.LEVEL)
    assert zstandard.get_frame_parameters(path.read_bytes()).has_checksum
    assert len(tar) % 10240 == 0


def test_each_member_is_there_as_it_was_added(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.zst"
    written(path).close()
    (tmp_path / "tar").write_bytes(decoded(path))
    with tarfile.open(tmp_path / "tar", encoding="utf-8", errors="surrogateescape") as tar:
        members = tar.getmembers()
        for member, (entry, data) in zip(members, MEMBERS):
            assert (member.name, member.linkname) == (entry.path, entry.target)
            kinds = {FILE: member.isreg(), LINK: member.issym(), DIRECTORY: member.isdir()}
            assert kinds == {kind: kind == entry.type for kind in kinds}
            assert member.mode == {FILE: entry.mode, LINK: 0o777, DIRECTORY: 0o755}[entry.type]
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", entry.mtime)
            content = tar.extractfile(member) if member.isreg() else None
            assert (content.read() if content else b"") == data
    assert len(members) == len(MEMBERS)


def test_gnu_tar_lists_and_unpacks_it(tmp_path: Path) -> None:
    if not shutil.which("tar") or not shutil.which("zstd"):
        pytest.skip("this machine has no tar and zstd")
    path = tmp_path / "archive.tar.zst"
    written(path).close()
    command = ["tar", "--use-compress-program=zstd", "--quoting-style=literal"]
    listed = subprocess.run([*command, "-tf", path], stdout=subprocess.PIPE, check=True).stdout
    names = [os.fsencode(entry.path) + (b"/" if entry.type == DIRECTORY else b"") for entry, _data in MEMBERS]
    assert listed == b"".join(name + b"\n" for name in names)
    (tmp_path / "out").mkdir()
    subprocess.run([*command, "-xf", path, "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out/bin/tool").read_bytes() == BODY
    assert os.readlink(tmp_path / "out/lib/long") == "t" * 150 + "\udce9"
    assert (tmp_path / "out/bin/tool").stat().st_mtime == 1_680_000_000
    assert (tmp_path / "out/empty").stat().st_mtime == EPOCH


def test_equal_entries_give_an_equal_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = written(tmp_path / "1"), ArchiveWriter(str(tmp_path / "2"))
    # However its bytes come, and whatever is gathered before they are written.
    monkeypatch.setattr(archive, "_BATCH", 100)
    for entry, data in MEMBERS:
        second.add(entry, (data[at : at + 7] for at in range(0, len(data), 7)))
    first.close()
    second.close()
    assert first.tar_sha256.hexdigest() == second.tar_sha256.hexdigest()


names = st.one_of(
    st.sampled_from(["a", "n" * 99, "n" * 100, "n" * 101, "d" * 60 + "/" + "n" * 60, "\u00fc", "caf\udce9", "a\nb"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=127, exclude_characters="/"), min_size=1, max_size=5),
)


@given(
    names,
    names,
    st.sampled_from([FILE, LINK, DIRECTORY]),
    st.tuples(st.integers(0, 0o777), st.sampled_from([0, 1, 8**11 - 1, 8**11, 1 << 40]), st.integers(0, (1 << 32) - 1)),
)
def test_headers_are_those_of_the_standard_library(
    name: str, target: str, kind: str, numbers: tuple[int, int, int]
) -> None:
    mode, size, mtime = numbers
    info = tarfile.TarInfo(name)
    info.type = {FILE: tarfile.REGTYPE, LINK: tarfile.SYMTYPE, DIRECTORY: tarfile.DIRTYPE}[kind]
    info.mode = {FILE: mode, LINK: 0o777, DIRECTORY: 0o755}[kind]
    info.size = size if kind == FILE else 0
    info.linkname = target if kind == LINK else ""
    info.mtime = mtime
    entry = Entry(name, kind, mode, info.size, target=info.linkname, mtime=mtime)
    assert archive._header(entry) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def test_adding_tells_the_digest(tmp_path: Path) -> None:
    writer = ArchiveWriter(str(tmp_path / "1"))
    assert writer.add(Entry("a", FILE, size=3), [b"a", b"bc"]) == hashlib.sha256(b"abc").hexdigest()
    writer.close()


@pytest.mark.parametrize("data", [b"", b"ab", b"abcd"])
def test_a_file_of_another_size_than_announced_is_refused(tmp_path: Path, data: bytes) -> None:
    writer = ArchiveWriter(str(tmp_path / "1"))
    with pytest.raises(PackError, match=r"^a changed while it was packed; nothing else may write to the environment$"):
        writer.add(Entry("a", FILE, size=3), [data])
    writer.abandon()
    assert not writer._thread.is_alive()


def test_an_archive_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("mine")
    writer = written(tmp_path / "1")
    with pytest.raises(PackError, match=r"^cannot write .*File exists"):
        writer.close()
    assert (tmp_path / "1").read_text() == "mine"


class Broken:
    """Fails as a compressor may."""

    def compressobj(self) -> t.NoReturn:
        raise MemoryError("no room")


def test_whatever_fails_in_the_other_thread_ends_in_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_BATCH", 10)
    monkeypatch.setattr(zstandard, "ZstdCompressor", lambda **_options: Broken())
    writer = ArchiveWriter(str(tmp_path / "1"))
    for number in range(100):
        writer.add(Entry(str(number), FILE, size=100), [b"x" * 100])
    with pytest.raises(PackError, match="no room"):
        writer.close()
    assert not writer._thread.is_alive()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_ends_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = open
    monkeypatch.setattr(archive, "open", lambda path, _mode: real(path, "wb", buffering=0), raising=False)
    writer = ArchiveWriter("/dev/full")
    for number in range(100):
        writer.add(Entry(str(number), FILE, size=100_000), [os.urandom(100_000)])
    with pytest.raises(PackError, match=r"cannot write /dev/full: .*No space left"):
        writer.close()
