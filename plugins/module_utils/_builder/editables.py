# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Packages that stay where their author works on them, found by what setuptools leaves in C(site-packages).

conda-pack finds those that pip recorded (C(direct_url.json)), not those of C(setup.py develop) and of people.
"""

from __future__ import annotations

import os
import re
import typing as t

_LEADING = re.compile(r"(?:^|/)site-packages/[^/]+\.(?:pth|egg-link)$")


def leads(path: str) -> bool:
    """Whether the file at *path* can make Python look elsewhere."""
    return bool(_LEADING.search(path))


def outside(text: bytes, prefix: str) -> t.Optional[str]:
    """Return the first directory outside of *prefix* that a C(.pth) or C(.egg-link) names as a whole line, or None."""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("/"):
            directory = os.path.normpath(line.strip())
            if directory != prefix and not directory.startswith(f"{prefix}/"):
                return directory
    return None
