# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Digests that files of an environment state of other files, renewed when those change.

conda-meta/*.json state C(sha256_in_prefix) (conda's paths.json schema); a wheel's RECORD states C(sha256=) and size
(https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
"""

from __future__ import annotations

import base64
import csv
import io
import json
import posixpath
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.files import CONDA_META


class Digest(t.NamedTuple):
    """What a file's bytes are."""

    #: Hex.
    sha256: str
    #: Bytes.
    size: int


Digests = t.Mapping[str, Digest]

_STATES = "sha256_in_prefix"
#: As rendered, one for each path in order; within another string its quotes were escaped.
_STATED = re.compile(f'"{_STATES}": "([^"\\\\]*)"'.encode())


def renew(kind: str, text: bytes, path: str, digests: Digests) -> bytes:
    """Return the file *text* at *path* with the digests it states taken from *digests* (by path below the prefix)."""
    return renew_conda_meta(text, digests) if kind == CONDA_META else renew_wheel_record(text, path, digests)


def renew_conda_meta(text: bytes, digests: Digests) -> bytes:
    """Return a conda-meta record; byte for byte as it was when it states nothing about *digests*."""
    record = json.loads(text)
    stated = [path for path in (record.get("paths_data") or {}).get("paths", ()) if _STATES in path]
    old = [path[_STATES] for path in stated]
    for path in stated:
        digest = digests.get(path["_path"])
        path[_STATES] = digest.sha256 if digest else path[_STATES]
    new = [path[_STATES] for path in stated]
    if new == old:
        return text
    if [match[1].decode() for match in _STATED.finditer(text)] != old:
        return render_conda_meta(record)
    # To render it takes a hundred times as long, and hosts have some hundreds.
    values = iter(new)
    return _STATED.sub(lambda _match: f'"{_STATES}": "{next(values)}"'.encode(), text)


def render_conda_meta(record: dict[str, t.Any]) -> bytes:
    """Return a conda-meta record as conda writes it, keys sorted."""
    return (json.dumps(record, indent=2, sort_keys=True) + "\n").encode()


def renew_wheel_record(text: bytes, path: str, digests: Digests) -> bytes:
    """Return the RECORD at *path*, lines it does not concern unchanged."""
    site = posixpath.dirname(posixpath.dirname(path))
    # As bytes, since a name may hold what ends a line in Unicode only.
    lines = (line.decode("utf-8", "surrogateescape") for line in text.splitlines(keepends=True))
    return "".join(_renewed_line(line, site, digests) for line in lines).encode("utf-8", "surrogateescape")


def _renewed_line(line: str, site: str, digests: Digests) -> str:
    fields = next(csv.reader([line]), [])
    if len(fields) != 3 or not fields[1]:
        return line
    digest = digests.get(posixpath.normpath(posixpath.join(site, fields[0])))
    if digest is None:
        return line
    value = base64.urlsafe_b64encode(bytes.fromhex(digest.sha256)).rstrip(b"=").decode()
    out = io.StringIO()
    csv.writer(out, lineterminator=line[len(line.rstrip("\r\n")) :]).writerow(
        [fields[0], f"sha256={value}", str(digest.size)]
    )
    return out.getvalue()
