# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What pip printed before it failed, in one line."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: How pip begins to tell of a program that it ran, and ends what that printed.
_RAN = re.compile(r"\s*\S (.+ did not run successfully)\.?\s*$")
_END = "[end of output]"
#: What it printed begins behind such a line.
_BEGIN = re.compile(r"Running command |\[\d+ lines? of output\]")
_BROKEN = re.compile(r"after connection broken by '\w+\((?:.*?>: )?[\"']?(.+?)[\"']?\)'")


def failure(code: int, lines: t.Sequence[str]) -> str:
    """Return one line for what pip printed before it ended with *code*."""
    errors = [line for line in lines if line.lower().startswith("error")]
    said = " ".join(" ".join(_program(lines) or errors[-3:] or list(lines)[-5:]).split())
    broken = next((found[1] for found in map(_BROKEN.search, reversed(lines)) if found), None)
    reached = f" (the index cannot be reached: {broken})" if broken else ""
    return mask(f"pip failed ({code}): {said or 'it said nothing'}{reached}")


def _program(lines: t.Sequence[str]) -> list[str]:
    """Return which program pip ran in vain, and the last that it printed; nothing where there was none."""
    ran = next((found[1] for found in map(_RAN.match, lines) if found), None)
    if ran is None:
        return []
    ends = next((number for number, line in enumerate(lines) if _END in line), None)
    if ends is None:
        ends = next(number for number, line in enumerate(lines) if _RAN.match(line))
    begins = max((number for number, line in enumerate(lines[:ends]) if _BEGIN.search(line)), default=-1)
    printed = [line.strip() for line in lines[begins + 1 : ends] if line.strip()]
    fatal = [line for line in printed if line.startswith("fatal:")]
    return [f"{ran}:", *(fatal or printed)[-3:]]
