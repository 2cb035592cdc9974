# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import typing as t
import zipfile
from pathlib import Path

import conda_pack
import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import handpacked
from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Target, make_bundle, plan_bundle
from ansible_collections.airgap.conda.plugins.module_utils._builder.handpacked import Derived, derive
from ansible_collections.airgap.conda.plugins.module_utils._builder.packing import Packing
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import PLACEHOLDER, Entry, parse_files
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.handmade import (
    SITE,
    Handmade,
    PackageFile,
)
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._builder.packed import (
    OLD,
    Packed,
    fill,
    staged,
)

FORMATS = ("tar.gz", "tar.zst", "tar", "tar.bz2", "tar.xz", "zip")
#: Written by several threads, as streams one behind the other.
THREADED = ("tar.gz", "tar.bz2", "tar.xz")


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    return fill(Handmade(tmp_path / "builder"))


def pack(made: Handmade, kind: str = "tar", **how: t.Any) -> Path:
    """Pack as people do, by hand."""
    output = made.prefix.parent / f"env.{kind}"
    how = {"zip_symlinks": True, **how} if kind == "zip" else how
    conda_pack.pack(prefix=str(made.prefix), output=str(output), force=True, **how)
    return output


def derived(archive: Path) -> Derived:
    directory = archive.parent / f"derived-{archive.name}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return derive(str(archive), str(directory), "env", "linux-64", Progress())


def packed(archive: Path) -> Packed:
    """Derive a bundle; return it as the packer's tests have theirs."""
    manifest = derived(archive).manifest
    directory = archive.parent / f"derived-{archive.name}"
    entries = parse_files(gzip.decompress((directory / manifest.files.file).read_bytes()))
    return Packed(manifest, {entry.path: entry for entry in entries}, directory)


def refusal(archive: Path) -> str:
    with pytest.raises(BundleError) as caught:
        derived(archive)
    assert "\n" not in str(caught.value)
    assert [path.name for path in archive.parent.glob(f"derived-{archive.name}/.metadata-*")] == []
    return str(caught.value)


def own(made: Handmade) -> Packed:
    """What packing the environment itself gives."""
    directory = made.prefix.parent / "own"
    directory.mkdir()
    manifest = Packing(str(made.prefix), Progress()).pack(str(directory), "env", "linux-64")
    entries = parse_files(gzip.decompress((directory / manifest.files.file).read_bytes()))
    return Packed(manifest, {entry.path: entry for entry in entries}, directory)


def rewrite(archive: Path, change: t.Callable[[t.List[t.Tuple[tarfile.TarInfo, bytes]]], t.Any]) -> Path:
    """Change the members of a tar, as somebody with tar alone may."""
    with tarfile.open(archive) as tar:
        members = [(info, t.cast(t.IO[bytes], tar.extractfile(info)).read() if info.isreg() else b"") for info in tar]
    change(members)
    with tarfile.open(archive, "w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive


def member(name: str, data: bytes = b"", **fields: t.Any) -> t.Tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


# --- what is derived ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_the_bundle_is_that_of_the_environment_itself(kind: str, made: Handmade) -> None:
    expected, found = own(made), packed(pack(made, kind))
    assert found.entries == expected.entries
    assert found.manifest.content_id == expected.manifest.content_id
    assert found.manifest.needs == expected.manifest.needs


@pytest.mark.parametrize("kind", THREADED)
def test_archives_of_several_streams_are_read(kind: str, made: Handmade) -> None:
    made.put("share/large", os.urandom(3 << 20))
    assert packed(pack(made, kind, n_threads=2)).entries == own(made).entries


def test_copies_for_links_of_a_zip_deploy_too(made: Handmade) -> None:
    for link in ("lib/neighbour", "lib/localtime", "lib/absolute"):
        (made.prefix / link).unlink()
    found = packed(pack(made, "zip", zip_symlinks=False))
    assert found.entries["lib/libtool.so"].type == "file"
    assert found.entries["lib/libtool.so"].relocations == found.entries["lib/libtool.so.1"].relocations


def test_what_is_deployed_carries_the_prefix_and_nothing_of_the_builder(made: Handmade, tmp_path: Path) -> None:
    root = staged(packed(pack(made, "tar.zst")), "/opt/envs/ml", tmp_path / "host")
    neighbour = f"{made.prefix}-tools".encode()
    for path in (path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes().replace(neighbour, b"")
        assert os.fsencode(made.prefix) not in data and PLACEHOLDER.encode() not in data
    assert (root / "bin/lib-a").read_bytes() == b"#!/opt/envs/ml/bin/python\nimport lib_a\n"
    assert (root / "bin/pip-tool").read_bytes().startswith(b"#!/opt/envs/ml/bin/python\n")
    assert os.readlink(root / "lib/absolute") == "/opt/envs/ml/bin/tool"
    assert not (root / "bin/conda-unpack").exists() and not (root / "bin/activate").exists()


def test_an_archive_with_a_directory_around_it_is_the_same(made: Handmade) -> None:
    assert packed(pack(made, arcroot="my/env")).manifest.content_id == own(made).manifest.content_id


def test_an_archive_made_anew_with_tar_is_the_same(made: Handmade) -> None:
    def rename(members: t.List[t.Tuple[tarfile.TarInfo, bytes]]) -> None:
        for info, _data in members:
            info.name = f"./{info.name}"
        members.insert(0, member("./", type=tarfile.DIRTYPE))

    assert packed(rewrite(pack(made), rename)).manifest.content_id == own(made).manifest.content_id


def test_our_own_archive_without_its_manifest_is_the_same(made: Handmade) -> None:
    expected = own(made)
    archive = Path(shutil.copy(expected.directory / "archive.tar.zst", made.prefix.parent / "alone.tar.zst"))
    assert packed(archive).manifest.content_id == expected.manifest.content_id


def test_without_the_library_of_zstd_the_bundle_has_gzip(made: Handmade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handpacked.importlib.util, "find_spec", lambda _name: None)  # type: ignore[attr-defined]
    found = packed(pack(made))
    assert found.manifest.encodings[0].codec == "gzip"
    with gzip.open(found.directory / "archive.tar.gz") as file, tarfile.open(fileobj=file) as tar:
        assert set(tar.getnames()) == {*found.entries, *found.manifest.carriers}


def test_people_with_tar_alone_can_use_the_derived_archive(made: Handmade) -> None:
    assert set(packed(pack(made)).manifest.carriers) == {
        "bin/activate",
        "bin/activate.fish",
        "bin/conda-unpack",
        "bin/deactivate",
    }


def test_packages_of_conda_and_pip_are_told(made: Handmade) -> None:
    made.put(f"{SITE}/own-1.dist-info/METADATA", b"Name: own\nVersion: 1\n")
    found = packed(pack(made)).manifest.packages
    assert [(package.name, package.manager) for package in found] == [
        ("lib_a", "conda"),
        ("own", "pip"),
        ("python", "conda"),
        ("tool", "conda"),
    ]


# --- hard links -----------------------------------------------------------------------------------------------------


def linked(made: Handmade, second: str = "libexec/twin") -> Handmade:
    """Install a package with one file at two paths."""
    made.install("twins", {"bin/twin": PackageFile(b"#!/bin/sh\necho " + OLD + b"\n", 0o755, "text")})
    cached, installed = made.cache / "twins-1.0-0", made.prefix
    stated = json.loads((cached / "info/paths.json").read_text())
    stated["paths"].append({**stated["paths"][0], "_path": second})
    (cached / "info/paths.json").write_text(json.dumps(stated))
    for place in (cached, installed):
        (place / second).parent.mkdir(parents=True, exist_ok=True)
        os.link(place / "bin/twin", place / second)
    record = json.loads((installed / "conda-meta/twins-1.0-0.json").read_text())
    record["files"].append(second)
    record["paths_data"]["paths"].append({**record["paths_data"]["paths"][0], "_path": second})
    (installed / "conda-meta/twins-1.0-0.json").write_text(json.dumps(record))
    return made


def test_hard_links_become_files(made: Handmade) -> None:
    archive = pack(linked(made))
    with tarfile.open(archive) as tar:
        assert tar.getmember("libexec/twin").islnk()
    assert packed(archive).entries == own(made).entries


def test_the_archive_that_conda_pack_corrupts_by_a_hard_link_with_data_is_read(made: Handmade) -> None:
    archive = pack(linked(made, "bin/ztwin"))
    with tarfile.open(archive) as tar:
        # What follows is lost to other readers.
        assert "conda-meta/twins-1.0-0.json" not in tar.getnames()
    assert packed(archive).entries == own(made).entries


# --- one prefix only ------------------------------------------------------------------------------------------------


def test_an_archive_packed_for_one_prefix_fits_that_one_only(made: Handmade, tmp_path: Path) -> None:
    pod = PackageFile(b"#!" + OLD + b"/bin/perl\n", 0o755, "text")
    made.install("perl", {"bin/perl": PackageFile(b"\x7fELF", 0o755), "bin/pod": pod})
    found = packed(pack(made, dest_prefix="/opt/envs/ml"))
    assert found.manifest.needs.prefix == "/opt/envs/ml"
    root = staged(found, "/opt/envs/ml", tmp_path / "host")
    assert (root / "bin/pod").read_bytes() == b"#!/opt/envs/ml/bin/perl\n"
    assert "bin/conda-unpack" not in found.manifest.carriers


def test_an_archive_for_a_prefix_that_nothing_tells_is_refused(made: Handmade) -> None:
    for path in made.prefix.glob("bin/*"):
        if path.name in ("pip-tool",):
            path.unlink()

    def drop(members: t.List[t.Tuple[tarfile.TarInfo, bytes]]) -> None:
        members[:] = [each for each in members if each[0].name != "bin/lib-a"]

    archive = rewrite(pack(made, dest_prefix="/opt/envs/ml"), drop)
    assert "nothing in it tells for which prefix it was packed; pack it again, without --dest-prefix" in refusal(
        archive
    )


# --- defects --------------------------------------------------------------------------------------------------------


def test_a_binary_that_names_the_builder_is_named(made: Handmade) -> None:
    made.put("lib/own.so", b"\x7fELF\0" + os.fsencode(made.prefix) + b"/lib\0")
    assert f"files that nothing relocates name the builder's {made.prefix}: lib/own.so." in refusal(pack(made))


def test_packages_without_a_cache_are_named(made: Handmade) -> None:
    shutil.rmtree(made.cache / "tool-1.0-0")
    with pytest.warns(UserWarning):
        archive = pack(made)
    assert f"files that nothing relocates name the builder's {made.prefix}: lib/libtool.so.1." in refusal(archive)


def test_text_of_packages_without_a_cache_is_put_right(made: Handmade, tmp_path: Path) -> None:
    made.install("text", {"etc/text.conf": PackageFile(b"at " + OLD + b"\n", 0o644, "text")})
    shutil.rmtree(made.cache / "text-1.0-0")
    with pytest.warns(UserWarning):
        root = staged(packed(pack(made)), "/opt/envs/ml", tmp_path / "host")
    assert (root / "etc/text.conf").read_bytes() == b"at /opt/envs/ml\n"


def test_a_placeholder_that_no_record_names_is_named(made: Handmade) -> None:
    made.put("lib/own.so", b"\x7fELF\0" + OLD + b"/lib\0")
    assert "files carry a placeholder that no record names: lib/own.so." in refusal(pack(made))


def test_a_file_of_conda_that_pip_replaced_is_named(made: Handmade) -> None:
    made.put(f"{SITE}/lib_a/__init__.py", b"NAME = 'of pip'\n")
    record = "lib_a/__init__.py,sha256=7_Z5Y4z7dD2pYt6ZzqkLQ7aT3l8yV9CzC8Hsq2k1p3o,16\n"
    made.put(f"{SITE}/lib_a-2.dist-info/RECORD", record.encode())
    assert f"files that pip replaced were packed as conda had them: {SITE}/lib_a/__init__.py." in refusal(pack(made))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"{SITE}/__editable__.mine-1.pth", b"/home/me/src\n"),
        (f"{SITE}/mine.egg-link", b"/home/me/src\n.\n"),
        (f"{SITE}/mine-1.dist-info/direct_url.json", b'{"url": "file:///home/me/src", "dir_info": {"editable": true}}'),
    ],
)
def test_an_editable_install_is_named(path: str, text: bytes, made: Handmade) -> None:
    made.put(path, text)
    archive = pack(made, ignore_editable_packages=True)
    assert f"packages are installed from a directory of the builder: {path}." in refusal(archive)


def test_paths_of_the_environment_in_a_pth_are_no_defect(made: Handmade) -> None:
    made.put(f"{SITE}/own.pth", f"{made.prefix}/share\nimport os\nrelative\n".encode())
    assert derived(pack(made)).warnings == (f"{made.prefix.parent}/env.tar: {OUTSIDE}",)


OUTSIDE = "links lead to places that hosts may not have: lib/localtime, lib/neighbour"


def test_a_damaged_file_of_a_package_is_named(made: Handmade) -> None:
    def damage(members: t.List[t.Tuple[tarfile.TarInfo, bytes]]) -> None:
        at = next(number for number, (info, _data) in enumerate(members) if info.name == "share/plain")
        members[at] = (members[at][0], b"other")

    archive = rewrite(pack(made), damage)
    assert "files are not what conda's records say of them: share/plain." in refusal(archive)


def test_two_packages_of_one_path_are_named(made: Handmade) -> None:
    made.install("clobber", {"share/other": PackageFile(b"other")})
    archive = rewrite(pack(made), lambda members: members.insert(0, member("share/other", b"first")))
    assert "paths are there twice, with different contents: share/other" in refusal(archive)
    archive = rewrite(pack(made), lambda members: members.append(members[0]))
    assert packed(archive).entries == own(made).entries


def test_what_may_be_meant_so_is_told_and_deploys(made: Handmade) -> None:
    made.put("bin/privileged", b"\x7fELF", 0o4755)
    found = derived(pack(made, filters=[("exclude", "share/*")]))
    assert list(found.warnings) == [
        f"{made.prefix.parent}/env.tar: {sentence}"
        for sentence in (
            "files of its packages are not in it: share/plain",
            OUTSIDE,
            "set-uid and set-gid bits do not travel: bin/privileged",
        )
    ]


def test_all_defects_are_told_at_once(made: Handmade) -> None:
    made.put("lib/own.so", b"\x7fELF\0" + os.fsencode(made.prefix) + b"/lib\0")
    made.put("lib/other.so", b"\x7fELF\0" + OLD + b"/lib\0")
    said = refusal(pack(made))
    assert (
        "lib/own.so; files carry a placeholder that no record names: lib/other.so. Pack the environment again" in said
    )


# --- hostile and damaged archives -----------------------------------------------------------------------------------

HOSTILE: t.Dict[str, t.Tuple[t.Tuple[tarfile.TarInfo, bytes], str]] = {
    "upwards": (member("../evil", b"x"), "does not stay below the prefix"),
    "upwards inside": (member("lib/../../evil", b"x"), "does not stay below the prefix"),
    "absolute": (member("/etc/evil", b"x"), "is not a relative path"),
    "a device": (member("dev", type=tarfile.CHRTYPE), "is a device, a pipe or the like"),
    "a pipe": (member("pipe", type=tarfile.FIFOTYPE), "is a device, a pipe or the like"),
    "a link upwards": (member("lib/up", type=tarfile.SYMTYPE, linkname="../../x"), "leaves the prefix"),
    "a hard link outwards": (member("lib/hard", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "is no file before it"),
    "a hard link to a link": (
        member("lib/hard", type=tarfile.LNKTYPE, linkname="lib/libtool.so"),
        "is no file before it",
    ),
    "a file under a link": (member("lib/libtool.so/x", b"x"), "is a file and a directory"),
    "a name that is too long": (member("n" * 300, b"x"), "is longer than file systems hold"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_member_is_refused(case: str, made: Handmade, tmp_path: Path) -> None:
    extra, sentence = HOSTILE[case]
    before = sorted(path for path in tmp_path.rglob("*") if "derived" not in str(path))
    archive = rewrite(pack(made), lambda members: members.append(extra))
    assert sentence in refusal(archive)
    after = sorted(path for path in tmp_path.rglob("*") if "derived" not in str(path))
    assert set(after) - set(before) == {archive}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_that_is_cut_is_refused_wherever_it_is_cut(kind: str, made: Handmade) -> None:
    archive = pack(made, kind)
    data = archive.read_bytes()
    for part in (0.1, 0.5, 0.9):
        archive.write_bytes(data[: int(len(data) * part)])
        assert refusal(archive)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for text, sentence in (
        (b"hsqs" + bytes(1000), "is a squashfs image, which is mounted, not unpacked"),
        (b"text", "is neither a bundle nor an archive that conda-pack writes"),
        (b"", "is neither a bundle nor an archive that conda-pack writes"),
    ):
        other.write_bytes(text)
        assert sentence in refusal(other)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("README", "x")
    assert "holds no conda environment (no conda-meta in it)" in refusal(tmp_path / "other.zip")


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"name": 1, "files": 5}', b'{"name": "x"}', b"[" * 100_000])
def test_damaged_metadata_is_refused(text: bytes, made: Handmade) -> None:
    archive = rewrite(pack(made), lambda members: members.append(member("conda-meta/odd-1-0.json", text)))
    assert "is damaged" in refusal(archive)


def test_damaged_records_of_conda_unpack_are_refused(made: Handmade) -> None:
    script = b"_prefix_records = [\n__import__('os').system('true')\n]\n"
    archive = rewrite(pack(made), lambda members: members.insert(0, member("bin/conda-unpack", script)))
    assert "the records of bin/conda-unpack cannot be read" in refusal(archive)


# --- as the module has it -------------------------------------------------------------------------------------------


def test_the_module_derives_once(made: Handmade, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = pack(made, "tar.gz")
    target = Target(str(archive), "my_env", "linux-64", str(tmp_path / "dist"))
    assert plan_bundle(target, Progress()).changed
    first = make_bundle(target, "", Progress())
    assert first.changed and first.manifest and os.path.basename(first.directory) == first.manifest.label
    assert not make_bundle(target, "", Progress()).changed
    assert not plan_bundle(target, Progress()).changed
    archive.touch()
    assert not make_bundle(target, "", Progress()).changed


def test_entries_are_as_the_reader_of_lists_wants_them(made: Handmade) -> None:
    entries: t.Dict[str, Entry] = packed(pack(made)).entries
    assert list(entries) == sorted(entries, key=os.fsencode)
