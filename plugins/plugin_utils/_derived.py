# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Bundles derived from archives that were packed by hand: made once, kept in the cache by the archive's sha256."""

from __future__ import annotations

import os

from ansible.utils.display import Display
from ansible_collections.airgap.conda.plugins.module_utils._builder.bundles import Target, make_bundle
from ansible_collections.airgap.conda.plugins.module_utils._builder.handpacked import VERSION
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import is_intact
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested, read
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import exclusively, note_down, once, stat_of, used

#: Where every package is for any platform, so is the bundle.
ANY = "noarch"

_SUFFIXES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")

display = Display()


class _Shown(Progress):
    """Progress for the one who waits at the controller."""

    def say(self, text: str) -> None:
        display.display(f"  {text}")


def derived_bundle(archive: str, cache: str, name: str, platform: str) -> str:
    """Return the directory of the bundle derived from *archive*; *name* and *platform* where the user gave them."""
    name = name or name_of(archive)
    dist = os.path.join(cache, "derived", f"{_digest(archive, cache)[:16]}-{VERSION}")
    with exclusively(cache, f"{os.path.basename(dist)}-{name}") as note:
        directory = os.path.join(dist, note.read())
        if directory == os.path.join(dist, "") or not is_intact(directory, os.path.basename(directory)):
            bundled = make_bundle(Target(archive, name, platform or ANY, dist), "", _Shown())
            for warning in bundled.warnings:
                display.warning(warning)
            directory = bundled.directory
            note_down(note, os.path.basename(directory))
        used(dist)
    return directory


def name_of(archive: str) -> str:
    """Return the name of the environment in *archive*: that of the file, as conda-pack names it."""
    name = os.path.basename(archive)
    return next((name[: -len(suffix)] for suffix in sorted(_SUFFIXES, key=len)[::-1] if name.endswith(suffix)), name)


def _digest(archive: str, cache: str) -> str:
    """Return the sha256 (hex) of *archive*, read once for as long as its stat stays."""
    try:
        name = f"archive-{os.stat(archive).st_ino}"
        return once(cache, name, stat_of(archive), lambda: digested(read(os.path.realpath(archive))).sha256)
    except OSError as error:
        raise BundleError(f"{archive} cannot be read ({error.strerror}); copy the bundle again") from None
