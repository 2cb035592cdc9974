# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged and hostile bundles, made of a good one: what sticks and shares do to files, and what people may.

Damage (a bit, a cut, a swapped file) leaves the manifest's digests as they were. What is hostile comes with a manifest
that states the digests of what is there, so that only its content gives it away.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import random
import shutil
import tarfile
import typing as t
import zlib
from pathlib import Path

from ansible_collections.airgap.conda.plugins.module_utils._model.files import PLACEHOLDER
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import parse_manifest, render_manifest
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import TinyBundle

Fields = t.Dict[str, t.Any]
Change = t.Callable[[Path], object]
Members = t.List[t.Tuple[tarfile.TarInfo, bytes]]

MANIFEST, FILES = "manifest.json", "files.jsonl.gz"
#: Longer than a file list may be, and than anything here is, in bytes.
_HUGE, _LARGE = 260 << 20, 40 << 20


def cases(good: TinyBundle, other: TinyBundle) -> t.Dict[str, Change]:
    """By what is wrong, what makes a copy of *good*, whose archive is gzip, so; *other* is another good bundle."""
    return {
        **_damage(good, other),
        **_manifests(json.loads((good.path / MANIFEST).read_text())),
        **_lists(),
        **_archives(),
        **_bombs(),
    }


# --- damage ---------------------------------------------------------------------------------------------------------


def _damage(good: TinyBundle, other: TinyBundle) -> t.Dict[str, Change]:
    random_ = random.Random(4)
    found: t.Dict[str, Change] = {}
    names = (MANIFEST, FILES, good.archive.name)
    for name in names:
        size = (good.path / name).stat().st_size
        for _number in range(20):
            at, bit = random_.randrange(size), random_.randrange(8)
            found[f"bit {bit} of byte {at} of {name}"] = _flip(name, at, bit)
        for length in (0, 1, size // 3, size // 2, size - 1):
            found[f"{length} of {size} bytes of {name}"] = _cut(name, length)
        found[f"more behind {name}"] = _append(name, b"more")
        found[f"zeros behind {name}"] = _append(name, bytes(512))
        found[f"no {name}"] = _remove(name)
        found[f"a directory as {name}"] = _directory(name)
        found[f"{name} of another bundle"] = _swap(name, other)
        found[f"only zeros in {name}"] = _zeros(name)
    for first, second in ((MANIFEST, FILES), (FILES, good.archive.name), (MANIFEST, good.archive.name)):
        found[f"{first} and {second} swapped"] = _exchange(first, second)
    return found


def _flip(name: str, at: int, bit: int) -> Change:
    def change(bundle: Path) -> None:
        data = bytearray((bundle / name).read_bytes())
        data[at] ^= 1 << bit
        (bundle / name).write_bytes(data)

    return change


def _cut(name: str, length: int) -> Change:
    return lambda bundle: (bundle / name).write_bytes((bundle / name).read_bytes()[:length])


def _append(name: str, data: bytes) -> Change:
    return lambda bundle: (bundle / name).write_bytes((bundle / name).read_bytes() + data)


def _remove(name: str) -> Change:
    return lambda bundle: (bundle / name).unlink()


def _directory(name: str) -> Change:
    def change(bundle: Path) -> None:
        (bundle / name).unlink()
        (bundle / name).mkdir()

    return change


def _swap(name: str, other: TinyBundle) -> Change:
    return lambda bundle: shutil.copy(other.path / name, bundle / name)


def _zeros(name: str) -> Change:
    return lambda bundle: (bundle / name).write_bytes(bytes((bundle / name).stat().st_size))


def _exchange(first: str, second: str) -> Change:
    def change(bundle: Path) -> None:
        (bundle / first).rename(bundle / "between")
        (bundle / second).rename(bundle / first)
        (bundle / "between").rename(bundle / second)

    return change


# --- manifests ------------------------------------------------------------------------------------------------------

#: Of no type that a field has, by what it is instead.
WRONG: t.Dict[str, t.Any] = {"null": None, "a truth": True, "a fraction": 1.5, "a list": [5], "a mapping": {"x": 5}}

_NAMES = {
    "../evil": "upwards",
    "/evil": "absolute",
    "a/b": "of two parts",
    "a\0b": "with NUL",
    "": "empty",
    "..": "of dots",
    "n" * 300: "too long",
    "a\nb": "with a line break",
    "\ud800": "of half a character",
}


def _manifests(right: Fields) -> t.Dict[str, Change]:
    found = {
        f"{kind} for {'.'.join(map(str, place))}": _stated(place, wrong)
        for place in _leaves(right)
        for kind, wrong in WRONG.items()
    }
    for name, kind in _NAMES.items():
        found[f"a name {kind}"] = _stated(("name",), name)
        found[f"a platform {kind}"] = _stated(("needs", "platform"), name)
        if kind != "with a line break":
            found[f"a file {kind}"] = _stated(("files", "file"), name)
    for place in (("needs", "size"), ("needs", "inodes"), ("needs", "prefix_max"), ("tar", "size"), ("files", "size")):
        for number in (-1, 1 << 63, 10**400):
            found[f"{number if number < 0 else len(str(number))} for {'.'.join(place)}"] = _stated(place, number)
    for digest in ("A" * 64, "0" * 63, "0" * 64 + "\n", ""):
        found[f"content id {digest[:3]!r} {len(digest)}"] = _stated(("content_id",), digest)
    deep: t.Any = "["
    found["deep nesting"] = lambda bundle: (bundle / MANIFEST).write_bytes(deep.encode() * 200_000)
    found["another encoding"] = lambda bundle: (bundle / MANIFEST).write_bytes(
        (bundle / MANIFEST).read_bytes().decode().encode("utf-16-be")[1:]
    )
    found["no number"] = lambda bundle: (bundle / MANIFEST).write_bytes(b'{"format": NaN}')
    found["a newer format"] = _stated(("format",), 2)
    found["keys in capitals"] = lambda bundle: (bundle / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes().upper())
    return found


def _leaves(value: t.Any, above: t.Tuple[t.Any, ...] = ()) -> t.Iterator[t.Tuple[t.Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from _leaves(below, (*above, key))
    if above and above != ("digest",) and not isinstance(value, (dict, list)):
        yield above


def _stated(place: t.Tuple[t.Any, ...], value: t.Any) -> Change:
    def change(bundle: Path) -> None:
        fields = json.loads((bundle / MANIFEST).read_text())
        del fields["digest"]
        holder = fields
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
        (bundle / MANIFEST).write_text(json.dumps(fields))

    return change


# --- file lists -----------------------------------------------------------------------------------------------------


def _lists() -> t.Dict[str, Change]:
    def edit(**fields: t.Any) -> Change:
        return _relisted(lambda lines: lines[0].update(fields))

    def add(**fields: t.Any) -> Change:
        stated = {"type": "file", "mode": "0644", "size": 0, "sha256": hashlib.sha256(b"").hexdigest(), **fields}
        return _relisted(lambda lines: lines.append(stated))

    found: t.Dict[str, Change] = {
        f"a listed path {kind}": add(path=path)
        for path, kind in {
            "../evil": "upwards",
            "bin/../../evil": "upwards inside",
            "/etc/evil": "absolute",
            "a\0b": "with NUL",
            "": "empty",
            ".": "of a dot",
            "bin//x": "with two slashes",
            "n" * 300: "too long",
            "d/" * 2100 + "n": "too deep",
            "\ud800": "of half a character",
            "bin/tool": "that is there twice",
            "bin/tool/below": "below a file",
            "lib/own/below": "below a link",
            "conda-meta/airgap-generation": "that is ours",
        }.items()
    }
    for wrong in (None, True, 1.5, [5], {"x": 5}, 5):
        found[f"a path that is {wrong!r}"] = edit(path=wrong)
        found[f"a mode that is {wrong!r}"] = edit(mode=wrong)
        found[f"a digest that is {wrong!r}"] = edit(sha256=wrong)
        found[f"a type that is {wrong!r}"] = edit(type=wrong)
        found[f"relocations that are {wrong!r}"] = edit(relocate=wrong) if wrong else edit(relocate=[[None, "text"]])
    for size in (-1, 1 << 63, 10**400, "5", None, 1.0, True):
        found[f"a size of {size!r}"[:40]] = edit(size=size)
    for mode in ("4755", "2755", "1777", "-644", "0o755", "9", "", "7777777", "0644 "):
        found[f"a mode of {mode!r}"] = edit(mode=mode)
    for relocate in (
        [["", "text"]],
        [["/old", "TEXT"]],
        [["/old"]],
        [["/old", "text", 0]],
        [[PLACEHOLDER, "binary"], [PLACEHOLDER, "offset", -5]],
        "text",
        [5],
    ):
        found[f"relocations {str(relocate)[:40]}{len(str(relocate))}"] = edit(relocate=relocate)
    for target in ("../../../etc", "/../x", "", "a\0b", PLACEHOLDER + "/../x", PLACEHOLDER + "evil"):
        kind = f"a link to {target[:20]!r}{len(target)}"
        found[kind] = _relisted(functools.partial(_add_link, target=target))
        if target.startswith("/../"):
            del found[kind]
    found["an mtime that is none"] = edit(mtime="now")
    found["an mtime before 1970"] = edit(mtime=-1)
    found["an mtime too late"] = edit(mtime=1 << 40)
    found["a renewal that is unknown"] = edit(renew="everything")
    found["an unknown key"] = edit(owner="root")
    found["lines in another order"] = _with_list_of(lambda lines: lines[::-1])
    found["a line less"] = _relisted(lambda lines: lines.pop())
    found["another size"] = _relisted(lambda lines: lines[0].update(size=lines[0]["size"] + 1))
    found["another digest"] = edit(sha256="0" * 64)
    found["another type"] = edit(type="dir")
    found["a device"] = edit(type="device")
    found["a name in capitals"] = edit(path="BIN/TOOL")
    found["more room than was asked for"] = _relisted(lambda lines: lines[0].update(size=1 << 40))
    for text, kind in (
        (b"", "empty"),
        (b"[]\n", "of a list"),
        (b"null\n", "of nothing"),
        (b"{\n", "that is cut"),
        (b"[" * 200_000 + b"\n", "of deep nesting"),
        (b'"text"\n', "of a text"),
        (b"\xff\xfe\n", "of no encoding"),
        (b'{"path": "a", "path": "b", "type": "dir"}\n', "with a key twice"),
        (b"{}\n" * 3, "of empty lines"),
    ):
        found[f"a list {kind}"] = _with_list(text)
    found["a list that is not packed"] = _replaced(FILES, b"{}\n")
    found["a list with more behind it"] = _rewritten(FILES, lambda data: data + gzip.compress(b"{}\n"))
    found["a list with rubbish behind it"] = _rewritten(FILES, lambda data: data + b"rubbish")
    found["a list with a wrong checksum"] = _rewritten(FILES, lambda data: data[:-8] + b"\0" * 8)
    found["a list that ends too early"] = _rewritten(FILES, lambda data: data[:-12])
    return found


def _add_link(lines: t.List[Fields], target: str) -> None:
    lines.append({"path": "l", "type": "link", "target": target})


def _relisted(change: t.Callable[[t.List[Fields]], object]) -> Change:
    def apply(bundle: Path) -> None:
        lines = [json.loads(line) for line in gzip.decompress((bundle / FILES).read_bytes()).splitlines()]
        lines.sort(key=lambda line: line["type"] != "file")
        change(lines)
        if all(isinstance(line.get("path"), str) for line in lines):
            lines.sort(key=lambda line: line["path"].encode("utf-8", "surrogatepass"))
        text = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
        _with_list(text.encode())(bundle)

    return apply


def _with_list_of(change: t.Callable[[t.List[bytes]], t.List[bytes]]) -> Change:
    def apply(bundle: Path) -> None:
        lines = gzip.decompress((bundle / FILES).read_bytes()).splitlines(keepends=True)
        _with_list(b"".join(change(lines)))(bundle)

    return apply


def _with_list(files: bytes) -> Change:
    def change(bundle: Path) -> None:
        (bundle / FILES).write_bytes(gzip.compress(files, mtime=0))
        seal(bundle, content_id=hashlib.sha256(files).hexdigest())

    return change


# --- archives -------------------------------------------------------------------------------------------------------


def _archives() -> t.Dict[str, Change]:
    def add(name: str, data: bytes = b"", **fields: t.Any) -> Change:
        return _rearchived(lambda members: members.append((_info(name, **fields), data)))

    def edit(name: str, data: t.Optional[bytes] = None, **fields: t.Any) -> Change:
        def change(members: Members) -> None:
            at = next(number for number, (info, _data) in enumerate(members) if info.name == name)
            for key, value in fields.items():
                setattr(members[at][0], key, value)
            members[at] = (members[at][0], members[at][1] if data is None else data)

        return _rearchived(change)

    found: t.Dict[str, Change] = {
        f"a member {name!r}"[:60]: add(name, b"evil")
        for name in ("evil", "../evil", "/etc/evil", "bin/../evil", "./bin/tool", "bin/tool", "BIN/tool", "n" * 300, "")
    }
    for flag, name in (
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.SYMTYPE, "link"),
        (tarfile.CONTTYPE, "contiguous file"),
        (b"Z", "kind that nobody knows"),
    ):
        found[f"a member that is a {name}"] = add("evil", type=flag, linkname="bin/tool")
        found[f"a file that became a {name}"] = edit("bin/tool", b"", type=flag, linkname="/etc/passwd")
    found["a link to somewhere else"] = edit("lib/libtool.so", linkname="/etc/passwd")
    found["a link that became a file"] = edit("lib/libtool.so", b"evil", type=tarfile.REGTYPE)
    found["a directory that became a link"] = edit("var/empty", type=tarfile.SYMTYPE, linkname="/etc")
    found["a file with other bytes"] = edit("lib/libtool.so.1", b"\x7fELF\0evil")
    found["a file of the same length with other bytes"] = _rearchived(_same_length)
    found["a file with a byte more"] = _rearchived(lambda members: members.__setitem__(0, (members[0][0], b"x" * 9999)))
    found["members in the places of others"] = _rearchived(_swapped)
    found["a member less"] = _rearchived(lambda members: members.pop(0))
    found["no members"] = _rearchived(lambda members: members.clear())
    found["all members twice"] = _rearchived(lambda members: members.extend(list(members)))
    found["a carrier that is a link"] = edit("bin/activate", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    found["a carrier twice"] = add("bin/activate", b"again")
    for text, kind in ((b"", "empty"), (bytes(10240), "of zeros"), (b"text " * 500, "that is none")):
        found[f"a tar {kind}"] = _with_tar(functools.partial(_instead, text=text))
    for part in (0.2, 0.4, 0.6, 0.8, 1):
        found[f"{part} of a tar, but for its end"] = _with_tar(functools.partial(_part, part=part))
    random_ = random.Random(5)
    for number in range(20):
        at = random_.randrange(512)
        found[f"a changed byte {at} of a header, {number}"] = _with_tar(functools.partial(_spoilt, at=at))
    for field, kind in (
        (b"-0000000001\0", "below zero"),
        (b"77777777777\0", "of 8 GiB"),
        (b"\x80" + b"\xff" * 11, "of no disk"),
        (b"\xff" * 12, "of all bits"),
        (b"size of it.\0", "that is no number"),
    ):
        found[f"a header with a size {kind}"] = _with_tar(functools.partial(_resized, field=field))
    for record in (b"-20 path=x\n", b"999999 path=x\n", b"12 path=evil\n", b"x path=x\n", b"30 GNU.sparse.major=1\n"):
        found[f"an extended header {record!r}"] = _with_tar(functools.partial(_behind, record=record))
    found["a row of extended headers"] = _with_tar(lambda tar: _extended(b"9 a=bcde\n") * 1000 + tar)
    found["an archive that is not packed"] = lambda bundle: _with_archive(bundle, b"no gzip")
    found["an archive with rubbish behind it"] = _rewritten("archive.tar.gz", lambda data: data + b"rubbish")
    found["an archive with a wrong checksum"] = _rewritten("archive.tar.gz", lambda data: data[:-8] + b"\0" * 8)
    found["an archive that ends too early"] = _rewritten("archive.tar.gz", lambda data: data[:-12])
    return found


def _info(name: str, **fields: t.Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def _same_length(members: Members) -> None:
    info, data = members[0]
    members[0] = (info, data[:-1] + bytes([data[-1] ^ 1]))


def _swapped(members: Members) -> None:
    files = [number for number, (info, data) in enumerate(members) if info.isreg() and data]
    first, second = files[:2]
    members[first], members[second] = (members[first][0], members[second][1]), (members[second][0], members[first][1])


def _rearchived(change: t.Callable[[Members], object]) -> Change:
    def apply(tar: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            members = [
                (info, t.cast(t.IO[bytes], archive.extractfile(info)).read() if info.isreg() else b"")
                for info in archive
            ]
        change(members)
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
            for info, data in members:
                info.size = len(data) if info.isreg() or info.type == tarfile.CONTTYPE else 0
                made.addfile(info, io.BytesIO(data))
        return out.getvalue()

    return _with_tar(apply)


def _with_tar(change: t.Callable[[bytes], bytes]) -> Change:
    def apply(bundle: Path) -> None:
        tar = change(gzip.decompress((bundle / "archive.tar.gz").read_bytes()))
        _with_archive(bundle, gzip.compress(tar))

    return apply


def _with_archive(bundle: Path, archive: bytes) -> None:
    (bundle / "archive.tar.gz").write_bytes(archive)
    seal(bundle)


def _behind(tar: bytes, record: bytes) -> bytes:
    return _extended(record) + tar


def _instead(_tar: bytes, text: bytes) -> bytes:
    return text


def _part(tar: bytes, part: float) -> bytes:
    members = tar.rstrip(b"\0")
    return members[: int(len(members) * part) // 512 * 512]


def _spoilt(tar: bytes, at: int) -> bytes:
    return tar[:at] + bytes([tar[at] ^ 0x55]) + tar[at + 1 :]


def _resized(tar: bytes, field: bytes) -> bytes:
    return _summed(tar[:124] + field + tar[136:512]) + tar[512:]


def _summed(header: bytes) -> bytes:
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def _extended(record: bytes) -> bytes:
    info = _info("x", type=tarfile.XHDTYPE, size=len(record))
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0")


# --- bombs ----------------------------------------------------------------------------------------------------------


def _bombs() -> t.Dict[str, Change]:
    def tail(bundle: Path) -> None:
        _with_archive(bundle, (bundle / "archive.tar.gz").read_bytes() + packed_zeros(_LARGE))

    def listed(bundle: Path) -> None:
        (bundle / FILES).write_bytes(packed_zeros(_HUGE))
        seal(bundle)

    def repeated(line: bytes) -> Change:
        return _with_list(line * 50_000)

    def member(bundle: Path) -> None:
        header = _info("bin/tool", size=_LARGE).tobuf(tarfile.USTAR_FORMAT)
        _with_archive(bundle, gzip.compress(header) + packed_zeros(_LARGE))

    def carrier(bundle: Path) -> None:
        header = _info("bin/activate", size=1 << 33).tobuf(tarfile.GNU_FORMAT)
        _with_archive(bundle, gzip.compress(header) + packed_zeros(_LARGE))

    def growing(bundle: Path) -> None:
        data = b"/x" * (2 << 20)
        digest = hashlib.sha256(data).hexdigest()
        line = {"path": "a", "type": "file", "mode": "0644", "size": len(data), "sha256": digest}
        line["relocate"] = [["/x", "text"]]
        _relisted(lambda lines: lines.append(line))(bundle)
        _rearchived(lambda members: members.insert(0, (_info("a"), data)))(bundle)
        change = parse_manifest((bundle / MANIFEST).read_bytes(), "x")
        needs = change.needs._replace(size=change.needs.size + len(data))
        (bundle / MANIFEST).write_bytes(render_manifest(change._replace(needs=needs)))

    return {
        "zeros without end behind the archive": tail,
        "a list of zeros": listed,
        "a list of one line again and again": repeated(b'{"path":"a","type":"dir"}\n'),
        "a list of more lines than inodes": _with_list(
            b"".join(b'{"path":"d%06d","type":"dir"}\n' % number for number in range(50_000))
        ),
        "a member larger than the list says": member,
        "a carrier of 8 GiB": carrier,
        "a prefix written into one file many times": growing,
        "a manifest of 70 MB": lambda bundle: (bundle / MANIFEST).write_bytes(
            b" " * 70_000_000 + (bundle / MANIFEST).read_bytes()
        ),
    }


def packed_zeros(size: int) -> bytes:
    """Return a gzip of *size* zeros, made without having them in memory."""
    compressor = zlib.compressobj(1, wbits=31)
    parts = [compressor.compress(bytes(1 << 20)) for _number in range(size >> 20)]
    return b"".join([*parts, compressor.flush()])


# --- what states digests --------------------------------------------------------------------------------------------


def _replaced(name: str, data: bytes) -> Change:
    return _rewritten(name, lambda _data: data)


def _rewritten(name: str, change: t.Callable[[bytes], bytes]) -> Change:
    def apply(bundle: Path) -> None:
        (bundle / name).write_bytes(change((bundle / name).read_bytes()))
        seal(bundle)

    return apply


def seal(bundle: Path, **fields: t.Any) -> None:
    """Let the manifest state what is there now, as one who means harm would."""
    manifest = parse_manifest((bundle / MANIFEST).read_bytes(), "x")
    encoding = manifest.encodings[0]
    pieces = [
        piece._replace(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for piece in (manifest.files, encoding.piece)
        for data in [(bundle / piece.file).read_bytes()]
    ]
    manifest = manifest._replace(files=pieces[0], encodings=(encoding._replace(piece=pieces[1]),), **fields)
    (bundle / MANIFEST).write_bytes(render_manifest(manifest))
