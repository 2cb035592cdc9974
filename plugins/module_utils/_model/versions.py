# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Versions of system libraries: numbers with dots."""

from __future__ import annotations

import re
import typing as t


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers in *version*, such as (2, 31), without zeros at the end: 12.0 is 12."""
    found = [int(part) for part in re.findall(r"[0-9]+", version)]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def newest(versions: t.Iterable[str]) -> str:
    """Return the newest of *versions*, or empty."""
    return max(versions, key=numbers, default="")


def oldest(versions: t.Iterable[str]) -> str:
    """Return the oldest of *versions*, or empty."""
    return min(versions, key=numbers, default="")
