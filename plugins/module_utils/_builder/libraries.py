# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The libraries a builder needs, looked for without loading them."""

from __future__ import annotations

import importlib.metadata
import sys
import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.compat.version import LooseVersion

#: Distribution and lowest version that works: of the embedded solver, and of what every build needs.
EMBEDDED = ("py-rattler", "0.28.0")
ALWAYS = ("PyYAML", "6.0")


def complaint(required: t.Iterable[tuple[str, str]] = (EMBEDDED, ALWAYS)) -> str | None:
    """Say which library of *required* this interpreter lacks; None when it has all."""
    for distribution, minimum in required:
        needed = f"{distribution} >= {minimum}"
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return str(missing_required_lib(needed))
        if LooseVersion(version) < LooseVersion(minimum):
            return f"{missing_required_lib(needed)} It has version {version} (interpreter {sys.executable})."
    return None
