# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The manifest of a bundle: what it is, what it needs, what proves it. C(manifest.json), format 1."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import is_a, path_fault
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

#: Format this collection writes; it reads this one and all older ones.
FORMAT = 1

MANIFEST_NAME = "manifest.json"
#: Directory of a medium that bundles lie in.
BUNDLES_NAME = "bundles"
FILES_NAME = "files.jsonl.gz"

#: A name that is one component of a path on every file system and one word in every shell.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")

CODECS = ("zstd", "gzip")

#: Bytes; many times what the largest environments have. What is larger is not read.
SIZE_MAX = 1 << 26

#: What file systems and our arithmetic can hold.
_NUMBER_END = 1 << 62

_DIGEST = re.compile(r"[0-9a-f]{64}")

Kind = t.TypeVar("Kind")


class Piece(t.NamedTuple):
    """A file of the bundle's directory that is sent to hosts."""

    file: str
    #: Bytes.
    size: int
    #: Hex.
    sha256: str


class Encoding(t.NamedTuple):
    """A compressed form of the one uncompressed tar; can be made again, so never the identity."""

    #: One of M(CODECS).
    codec: str
    #: Of the library that made it: equal bytes only for equal version, level and threading.
    version: str
    level: int
    piece: Piece


class Needs(t.NamedTuple):
    """What a host must have."""

    #: conda's name of the platform, such as linux-64.
    platform: str
    #: Least version, or empty.
    glibc: str
    #: Least version the driver must support, or empty.
    cuda: str
    #: Longest prefix in bytes that every binary can carry.
    prefix_max: int
    #: Disk space of the deployed tree, in bytes.
    size: int
    #: Files, links and directories of the deployed tree.
    inodes: int
    #: The file that sets the longest prefix, or empty.
    narrowest: str = ""
    #: A text that holds the prefix, a program's if there is one, and so takes none that breaks it; or empty.
    quoting: str = ""
    #: The only prefix at which it works, of an archive that was packed for one; or empty.
    prefix: str = ""


class Manifest(t.NamedTuple):
    """One bundle."""

    name: str
    content_id: str
    needs: Needs
    files: Piece
    #: Digest of the uncompressed tar (hex), beside the content id the other half of the identity.
    tar_sha256: str
    #: Bytes.
    tar_size: int
    encodings: t.Tuple[Encoding, ...]
    packages: t.Tuple[Package, ...]
    #: Members of the archive for people without us; never deployed, not in the content id.
    carriers: t.Tuple[str, ...] = ()
    #: When it was packed, ISO 8601 UTC.
    created: str = ""
    #: sha256 (hex) of the environment.yml it was built from, or empty.
    spec_sha256: str = ""

    @property
    def label(self) -> str:
        """What people call it: the directory's name in C(dist)."""
        return f"{self.name}-{self.needs.platform}-{self.content_id[:12]}"


def render_manifest(manifest: Manifest) -> bytes:
    """Return C(manifest.json)."""
    fields: dict[str, t.Any] = {
        "format": FORMAT,
        "name": manifest.name,
        "content_id": manifest.content_id,
        "created": manifest.created,
        "spec_sha256": manifest.spec_sha256,
        "needs": manifest.needs._asdict(),
        "files": manifest.files._asdict(),
        "tar": {"sha256": manifest.tar_sha256, "size": manifest.tar_size},
        "encodings": [{**encoding._asdict(), "piece": encoding.piece._asdict()} for encoding in manifest.encodings],
        "carriers": list(manifest.carriers),
        "packages": [package.to_json() for package in manifest.packages],
    }
    return _rendered({**fields, "digest": _digest(fields)})


def _rendered(fields: t.Mapping[str, t.Any]) -> bytes:
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode("ascii")


def _digest(fields: t.Mapping[str, t.Any]) -> str:
    """Return what tells that no bit of a manifest was changed on its way; it says nothing about who wrote it."""
    return hashlib.sha256(_rendered(fields)).hexdigest()


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Parse a manifest found at *where*; raise C(BundleError) when it is damaged or of a newer format."""
    try:
        if len(text) > SIZE_MAX:
            raise ValueError(f"more than {SIZE_MAX} bytes")
        fields = json.loads(text)
        check_format(fields["format"], FORMAT, f"the bundle {where}")
        _check_digest(fields, text)
        manifest = _manifest(fields)
        _check(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: the manifest is damaged ({error}); copy the bundle again") from None
    return manifest


def check_format(found: t.Any, newest: int, what: str) -> None:
    """Raise C(BundleError) when *what* was written by a newer collection than this one."""
    if not is_a(found, int) or found < 1:
        raise ValueError(f"format {found!r}")
    if found > newest:
        raise BundleError(f"{what} has format {found}, this collection reads up to {newest}; upgrade airgap.conda here")


def typed(kind: t.Callable[..., Kind], fields: t.Mapping[str, t.Any]) -> Kind:
    """Return the NamedTuple *kind* of *fields* that were read; C(TypeError) unless they have the declared types.

    What has a default came later, and may be missing.
    """
    fields = {**t.cast(t.Any, kind)._field_defaults, **fields}
    for name, wanted in t.get_type_hints(kind).items():
        if not is_a(fields[name], wanted):
            raise TypeError(f"{name} is no {wanted.__name__}")
    return kind(**fields)


def _check_digest(fields: dict[str, t.Any], text: bytes) -> None:
    """Raise C(ValueError) unless *text* is as it was written; one that states no digest was written by hand."""
    unknown = set(fields) - {*_KEYS, "digest"}
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    if "digest" in fields and text != _rendered({**fields, "digest": _digest({key: fields[key] for key in _KEYS})}):
        raise ValueError("it is not as it was written")


_KEYS = (
    "format",
    "name",
    "content_id",
    "created",
    "spec_sha256",
    "needs",
    "files",
    "tar",
    "encodings",
    "carriers",
    "packages",
)


def _manifest(fields: dict[str, t.Any]) -> Manifest:
    return Manifest(
        name=fields["name"],
        content_id=fields["content_id"],
        needs=typed(Needs, fields["needs"]),
        files=typed(Piece, fields["files"]),
        tar_sha256=fields["tar"]["sha256"],
        tar_size=fields["tar"]["size"],
        encodings=tuple(
            typed(Encoding, {**each, "piece": typed(Piece, each["piece"])}) for each in _list(fields["encodings"])
        ),
        packages=tuple(Package.from_json(each) for each in _list(fields["packages"])),
        carriers=tuple(_list(fields["carriers"])),
        created=fields["created"],
        spec_sha256=fields["spec_sha256"],
    )


def _list(value: t.Any) -> list[t.Any]:
    if not isinstance(value, list):
        raise TypeError(f"a {type(value).__name__} is no list")
    return value


def _check(manifest: Manifest) -> None:
    pieces = (manifest.files, *(encoding.piece for encoding in manifest.encodings))
    for piece in pieces:
        if path_fault(piece.file) or "/" in piece.file or not _DIGEST.fullmatch(piece.sha256):
            raise ValueError(f"unusable piece {piece.file!r}")
    for digest in (manifest.content_id, manifest.tar_sha256):
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"unusable digest {digest!r}")
    for name in (manifest.name, manifest.needs.platform):
        if not NAME.fullmatch(name):
            raise ValueError(f"unusable name {name!r}")
    needs = manifest.needs
    for size in (manifest.tar_size, needs.size, needs.inodes, needs.prefix_max, *(piece.size for piece in pieces)):
        if not is_a(size, int) or not 0 <= size < _NUMBER_END:
            raise ValueError(f"unusable size {size!r}")
    for text in (manifest.created, manifest.spec_sha256, *manifest.carriers):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
    for text in (manifest.created, manifest.spec_sha256, *(text for each in manifest.packages for text in each.texts)):
        # One that cannot be shown is a ValueError here.
        text.encode()
    if not manifest.encodings or any(encoding.codec not in CODECS for encoding in manifest.encodings):
        raise ValueError("no archive in an encoding that is known here")
