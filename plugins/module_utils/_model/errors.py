# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The one exception family. Raised where the fact is known, turned into C(fail_json) in one place."""

from __future__ import annotations


class AirgapError(Exception):
    """Something a person can act on; the message says what, where, and what to do, in one line."""


class SpecError(AirgapError):
    """The user's environment.yml cannot be used as it stands."""


class BuildError(AirgapError):
    """Solving, fetching, installing or pip failed on the builder."""


class BundleError(AirgapError):
    """A bundle is damaged, incomplete, of a newer format, or not a bundle."""


class PackError(AirgapError):
    """An environment cannot be packed faithfully."""


class RelocationError(AirgapError):
    """A file cannot carry the prefix."""


class DeployError(AirgapError):
    """A host cannot take the environment, or lost it half-way."""


class BaseLostError(DeployError):
    """The generation that a delta builds on does not give what it should; the whole archive is needed."""
