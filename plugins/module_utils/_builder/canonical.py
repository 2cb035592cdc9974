# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The canonical form of what differs between two builds of one solution: metadata, records, the builder's prefix."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import SUBDIR
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import record_channel
from ansible_collections.airgap.conda.plugins.module_utils._model.files import PLACEHOLDER
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digests, render_conda_meta
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import without_credentials

#: Fields of a conda-meta record that say when it was installed and by what, or again what others of them say.
_DROPPED = ("created_at", "indexed_timestamp", "_requested_specs", "arch", "platform", "package_type")
#: Those that say where, which conda expects to be there.
_EMPTIED = ("extracted_package_dir", "package_tarball_full_path")
#: Those that solvers write only if there is something in them, or always.
_KEPT_EMPTY = {"depends", "files", "requested_specs", "link", "paths_data", *_EMPTIED}

_HISTORY_TIME = re.compile(rb"^==> .* <==$", re.MULTILINE)
#: What was typed, and what by: both may name directories of the builder.
_HISTORY_TYPED = re.compile(rb"^# (?:cmd|update specs|neutered specs|remove specs): .*$", re.MULTILINE)
_DIRECTORY = re.compile(rb"(?:file://)?/(?:[^\s'\",\]=/]+/)+(?=[^\s'\",\]=/])")
_HISTORY_CHANNEL = re.compile(rb"^([+-])([A-Za-z][A-Za-z0-9+.-]*://.*)(/[^/\n]+::)", re.MULTILINE)
#: How installers begin a script whose Python has a path too long for a first line: distlib's form and conda's.
_DETOUR_BEGINS = b"#!/bin/sh\n'''exec' "
_DETOUR = re.compile(_DETOUR_BEGINS + rb"(\"?)(/[^\"\n]+?)\1( -[^ \"\n]+)? \"\$0\" \"\$@\"(?:\n' '''| #''')\n")
#: Longer than such a beginning.
_DETOUR_MAX = 1 << 14
_BYTECODE_LINE = re.compile(rb'^[^\n]*__pycache__/[^\n]*\.pyc"?,[^\n]*(?:\n|\Z)', re.MULTILINE)
#: A path ends here unless it goes on as a longer name.
_PATH_ENDS = rb"(?![A-Za-z0-9_+-]|\.[A-Za-z0-9_])"
#: Bytes after a path that decide whether it ends there.
LOOKAHEAD = 2


def conda_meta(data: dict[str, t.Any], packed: t.Container[str], digests: Digests) -> bytes:
    """Return a conda-meta record as it is packed: of *packed* paths only, and without the builder.

    C(sha256_in_prefix) becomes the digest in the bundle: *digests* for what is not as the package has it.
    """
    record = {key: value for key, value in data.items() if key not in _DROPPED}
    record.update(dict.fromkeys(_EMPTIED, ""))
    # Whether it was linked or copied from there is no property of the package either.
    record["link"] = {"source": "", "type": 1}
    if record.get("channel"):
        record.update(channel=channel(record_channel(record)))
    if record.get("url"):
        record.update(url=channel(record["url"]))
    if record.get("requested_spec"):
        record["requested_spec"] = _spec(record["requested_spec"])
    if record.get("requested_specs"):
        record["requested_specs"] = [_spec(spec) for spec in record["requested_specs"]]
    record["files"] = sorted(path for path in record.get("files", ()) if path in packed)
    paths = record.get("paths_data") or {}
    if "paths" in paths:
        kept = [_stated_path(path, digests) for path in paths["paths"] if path["_path"] in packed]
        record["paths_data"] = {**paths, "paths": sorted(kept, key=lambda path: str(path["_path"]))}
    return render_conda_meta({key: value for key, value in record.items() if _says_something(key, value)})


def _says_something(key: str, value: object) -> bool:
    return key in _KEPT_EMPTY or value not in (None, "", [], {})


def _spec(spec: str) -> str:
    """Return a dependency as typed; of a package in the builder's files only its name."""
    return spec.rpartition("/")[2] if spec.startswith(("/", "file://")) else without_credentials(spec)


def _stated_path(path: dict[str, t.Any], digests: Digests) -> dict[str, t.Any]:
    if path.get("path_type") == "softlink":
        return {key: value for key, value in path.items() if key != "sha256_in_prefix"}
    if path.get("path_type") == "unix_python_entry_point":
        # What more is stated of it differs by solver, and is of the builder's own.
        path = {key: path[key] for key in ("_path", "path_type")}
    if path["_path"] not in digests:
        return {**path, "sha256_in_prefix": path["sha256"]} if path.get("sha256") else path
    # Of what an installer writes, all of these depend on how long the builder's prefix is.
    packed = digests[path["_path"]]
    known = {"sha256": packed.sha256, "size_in_bytes": packed.size}
    known = {key: value for key, value in known.items() if key in path}
    return {**path, **known, "sha256_in_prefix": packed.sha256}


def channel(url: str) -> str:
    """Return *url* without credentials; of one in the builder's files only the last parts."""
    url = without_credentials(url)
    if not url.startswith("file://"):
        return url
    parts = url.rstrip("/").split("/")
    if not parts[-1].endswith((".conda", ".tar.bz2")):
        return f"file:///{parts[-1]}"
    # A package by itself, and not in a channel, has nothing but its name.
    return "file:///" + "/".join(parts[-3:] if SUBDIR.fullmatch(parts[-2]) else parts[-1:])


def history(text: bytes) -> bytes:
    """Return conda-meta/history with its times made constant, channels as in the records, and no directories."""
    text = _HISTORY_CHANNEL.sub(_channel_of_line, _HISTORY_TIME.sub(b"==> 1980-01-01 00:00:00 <==", text))
    return _HISTORY_TYPED.sub(lambda line: _DIRECTORY.sub(b"", line[0]), text)


def _channel_of_line(line: t.Match[bytes]) -> bytes:
    sign, url, subdir = line.groups()
    return sign + channel(url.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") + subdir


def direct_url(text: bytes) -> bytes:
    """Return a C(direct_url.json) (PEP 610) without credentials; of what lay in the builder's files only the name."""
    try:
        origin = json.loads(text)
        url = without_credentials(origin["url"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
    origin["url"] = "file:///" + url.rstrip("/").rpartition("/")[2] if url.startswith("file://") else url
    return json.dumps(origin, sort_keys=True).encode()


def wheel_record(text: bytes) -> bytes:
    """Return a wheel's RECORD without bytecode, which does not travel."""
    return _BYTECODE_LINE.sub(b"", text)


def prefix_pattern(prefix: str) -> t.Pattern[bytes]:
    """Return what finds *prefix* as a whole path, not as the beginning of a longer name."""
    return re.compile(re.escape(prefix.encode("utf-8", "surrogateescape")) + _PATH_ENDS)


def to_placeholder(chunks: t.Iterable[bytes], prefix: str) -> t.Iterator[bytes]:
    """Yield *chunks* with the builder's *prefix* replaced by the canonical placeholder, wherever the chunks are cut."""
    pattern, placeholder = prefix_pattern(prefix), PLACEHOLDER.encode()
    keep = len(prefix.encode("utf-8", "surrogateescape")) + LOOKAHEAD
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        done = 0
        for match in pattern.finditer(data):
            if match.start() < len(data) - keep:
                yield data[done : match.start()] + placeholder
                done = match.end()
        cut = max(done, len(data) - keep)
        yield data[done:cut]
        tail = data[cut:]
    yield pattern.sub(placeholder, tail)


def plain_shebang(chunks: t.Iterable[bytes], prefix: str) -> t.Iterator[bytes]:
    """Yield *chunks*; a script that runs a program of *prefix* by a detour, as the path is long, names it directly.

    Relocation decides anew whether the path is too long.
    """
    head, rest = b"", iter(chunks)
    for chunk in rest:
        head += chunk
        begins = head[: len(_DETOUR_BEGINS)] == _DETOUR_BEGINS[: len(head)]
        if not begins or head.count(b"\n") > 2 or len(head) > _DETOUR_MAX:
            break
    detour = _DETOUR.match(head)
    if detour and detour[2].startswith(prefix.encode("utf-8", "surrogateescape") + b"/"):
        head = b"#!" + detour[2] + (detour[3] or b"") + b"\n" + head[detour.end() :]
    yield head
    yield from rest
