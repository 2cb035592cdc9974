# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""From the bytes of the user's file to what it asks for: an C(environment.yml) or an explicit list, as it shows."""

from __future__ import annotations

import codecs

from ansible_collections.airgap.conda.plugins.module_utils._builder import environment_yml, explicit
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(data: bytes, path: str) -> str:
    """Return the text of the file *path*, which holds *data*."""
    if data.startswith(_WIDE):
        raise SpecError(f"{path}: is UTF-16, as some editors save it; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(f"{path}:{line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8") from None


def parse_spec(text: str, path: str, platform: str | None) -> Spec:
    """Read the *text* of the file *path* for *platform* (None: for all); raises C(SpecError) with file and line."""
    try:
        if explicit.is_explicit(text):
            return explicit.parse(text, path, platform)
        return environment_yml.parse(text, path, platform)
    except RecursionError:
        raise SpecError(f"{path}: is nested too deep to be an environment") from None
