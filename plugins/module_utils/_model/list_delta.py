# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What one file list says that another does not: the lines themselves, and of all others where the older list has them.

A gzip of one JSON array, in the order of the newer list: C([first, end]) for lines of the older one, a string for a new
line. Whoever puts it together judges the whole by its content id.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import pack_files, unpack_files


def list_delta(older: bytes, newer: bytes) -> bytes:
    """Return what makes the file list *newer* of *older*."""
    had = {line: number for number, line in enumerate(older.splitlines())}
    parts: list[t.Any] = []
    for line in newer.splitlines():
        number = had.get(line)
        if number is None:
            parts.append(line.decode("ascii"))
        elif parts and isinstance(parts[-1], list) and parts[-1][1] == number:
            parts[-1][1] += 1
        else:
            parts.append([number, number + 1])
    return pack_files(json.dumps(parts, separators=(",", ":")).encode("ascii"))


def patched_list(older: bytes, delta: bytes) -> bytes:
    """Return the file list that *delta* makes of *older*; C(BundleError) where it is damaged."""
    had = older.splitlines()
    lines: list[bytes] = []
    taken = 0
    try:
        for part in json.loads(unpack_files(delta)):
            if isinstance(part, str):
                lines.append(part.encode("ascii"))
                continue
            first, end = part
            # Each line once, so that it cannot grow beyond both.
            if not taken <= first < end <= len(had):
                raise ValueError(f"lines {first} to {end} of {len(had)}")
            taken = end
            lines += had[first:end]
    except (ValueError, TypeError, RecursionError) as error:
        raise BundleError(f"the difference of the file lists is damaged ({error}); run again") from None
    return b"".join(line + b"\n" for line in lines)
