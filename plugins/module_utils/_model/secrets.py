# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Credentials inside texts and addresses: found, masked, left out."""

from __future__ import annotations

import re

#: C(user:password@) and C(token@) of an address; a login name alone, as in C(ssh://git@host), is none.
_LOGIN = re.compile(r"(?<=://)(?P<secret>(?!git@)[^/\s'\"]+)@")
#: conda's C(/t/<token>/) path segment.
_TOKEN = re.compile(r"(?<=/t/)(?P<secret>[^/\s'\"]+)(?=/|$|\s)")

MASK = "***"


def mask(text: str) -> str:
    """Return *text* with every credential of an address replaced by C(***)."""
    return _TOKEN.sub(MASK, _LOGIN.sub(f"{MASK}@", text))


def without_credentials(url: str) -> str:
    """Return the address of the same thing, without login and without token."""
    return re.sub(r"/t/[^/\s]+(?=/|$)", "", _LOGIN.sub("", url))


def credentials(text: str) -> set[str]:
    """Return the credentials in *text*: tokens, and both a login and its password."""
    found = {match["secret"] for pattern in (_LOGIN, _TOKEN) for match in pattern.finditer(text)}
    passwords = {login.partition(":")[2] for login in found}
    return {secret for secret in found | passwords if secret and secret != MASK}
