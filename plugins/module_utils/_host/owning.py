# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Read the records that packages have in a tree: conda's, and those of wheels."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.ownership import (
    Claim,
    claim_of,
    conda_claim,
    grouped,
    is_record,
    wheel_claim,
)

#: No record is larger; what is has been tampered with.
_RECORD_MAX = 64 << 20


def claims_of(root: str) -> list[Claim]:
    """Return what the records in the tree at *root* say; those that cannot be read claim nothing."""
    return [*_conda_claims(root), *_wheel_claims(root)]


def brought_by(root: str, unexpected: t.Collection[str]) -> list[str]:
    """Return who brought the files *unexpected* below *root*: packages as their records say, then single paths."""
    claims = (claim_of(path, _text(os.path.join(root, path))) for path in filter(is_record, unexpected))
    return grouped(unexpected, [claim for claim in claims if claim])


def _conda_claims(root: str) -> t.Iterator[Claim]:
    for name in _names(os.path.join(root, "conda-meta")):
        if name.endswith(".json"):
            path = f"conda-meta/{name}"
            claim = conda_claim(path, _text(os.path.join(root, path)))
            if claim:
                yield claim


def _wheel_claims(root: str) -> t.Iterator[Claim]:
    for library in _names(os.path.join(root, "lib")):
        site = f"lib/{library}/site-packages"
        for name in _names(os.path.join(root, site)) if library.startswith("python") else ():
            if name.endswith(".dist-info"):
                directory = os.path.join(root, site, name)
                texts = (_text(os.path.join(directory, part)) for part in ("RECORD", "INSTALLER"))
                claim = wheel_claim(f"{site}/{name}", *texts)
                if claim:
                    yield claim


def _names(directory: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(os.listdir(directory))
    return []


def _text(path: str) -> bytes:
    """Return the text of a record, empty where there is none that can be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            return file.read(_RECORD_MAX)
    return b""
