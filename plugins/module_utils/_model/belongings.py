# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Belongings: which packages brought files, by the records of conda and of pip among these. Pure.

Records: conda-meta/*.json, and RECORD of a wheel
(https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
import typing as t

_CONDA = re.compile(r"conda-meta/([^/]+)-([^/-]+)-[^/-]+\.json")
_WHEEL = re.compile(r".*/([^/]+)-([^/-]+)\.dist-info/RECORD", re.DOTALL)


def is_record(path: str) -> bool:
    """Whether *path* says what a package brought."""
    return bool(_CONDA.fullmatch(path) or _WHEEL.fullmatch(path))


def parse_record(path: str, text: bytes) -> set[str]:
    """Return the files, below the prefix, that the record *text* at *path* lists; of a damaged one just itself."""
    try:
        if _CONDA.fullmatch(path):
            return {path, *map(str, json.loads(text)["files"])}
        site = posixpath.dirname(posixpath.dirname(path))
        rows = csv.reader(text.decode("utf-8", "surrogateescape").splitlines())
        return {path, *(posixpath.normpath(posixpath.join(site, row[0])) for row in rows if row)}
    except (ValueError, KeyError, TypeError, csv.Error):
        return {path}


def grouped(paths: t.Collection[str], records: t.Mapping[str, t.Collection[str]]) -> list[str]:
    """Return *paths* in words: each package of *records* with how many of them it brought, then what is of none."""
    left, words = set(paths), []
    for record in sorted(records):
        brought = left & set(records[record])
        left -= brought
        if brought:
            words.append(f"{_label(record)} ({len(brought)} file{'' if len(brought) == 1 else 's'})")
    return [*words, *sorted(left)]


def _label(record: str) -> str:
    match = _CONDA.fullmatch(record)
    if match:
        return f"{match[1]} {match[2]} of conda"
    match = _WHEEL.fullmatch(record)
    return f"{match[1]} {match[2]} of pip" if match else record
