# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Where the channels of a spec are: names, paths and addresses become addresses, as conda reads them."""

from __future__ import annotations

import os
import re
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import without_credentials

#: What a channel's name is looked up under; conda calls it C(channel_alias).
ALIAS = "https://conda.anaconda.org"
#: What conda's C(defaults) stands for on everything but Windows.
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Channels(t.NamedTuple):
    """What names of channels mean: one site's, or conda's own."""

    alias: str = ALIAS
    #: Names that stand for several.
    several: t.Mapping[str, t.Sequence[str]] = {"defaults": DEFAULTS}
    #: Addresses under which the channels of these names are.
    custom: t.Mapping[str, str] = {}

    def urls(self, channels: t.Iterable[str], directory: str) -> tuple[str, ...]:
        """Return the addresses of *channels* in their order; relative paths start at *directory*.

        C(nodefaults) is none of them.
        """
        found: dict[str, None] = {}
        for channel in channels:
            if channel in self.several:
                less = {name: listed for name, listed in self.several.items() if name != channel}
                found.update(dict.fromkeys(self._replace(several=less).urls(self.several[channel], directory)))
            elif channel != "nodefaults":
                found[self.url(channel, directory)] = None
        return tuple(found)

    def url(self, channel: str, directory: str) -> str:
        """Return the address of one channel, without a final slash."""
        if _SCHEME.match(channel):
            return channel.rstrip("/")
        if channel.startswith(("/", "./", "../", "~")) or channel in (".", ".."):
            path = os.path.normpath(os.path.join(directory, os.path.expanduser(channel)))
            return f"file://{urllib.parse.quote(path)}"
        name = channel.strip("/")
        # conda takes the longest name that the channel's begins with.
        for known in sorted(self.custom, key=len, reverse=True):
            if f"{name}/".startswith(f"{known}/"):
                return f"{self.custom[known].rstrip('/')}/{name}"
        if name.startswith("pkgs/"):
            return f"https://repo.anaconda.com/{name}"
        return f"{self.alias}/{name}"


#: As conda has them where nothing is configured.
PUBLIC = Channels()


def channel_name(url: str, alias: str = ALIAS) -> str:
    """Return what people call the channel at *url*: its name under *alias*, else its address without credentials."""
    public = without_credentials(url).rstrip("/")
    return public[len(alias) + 1 :] if public.startswith(f"{alias}/") else public


def record_channel(record: t.Mapping[str, t.Any]) -> str:
    """Return the address of the channel of a package's record; conda appends the platform to it, rattler does not."""
    url = str(record.get("channel") or "").rstrip("/")
    subdir = record.get("subdir")
    return url[: -len(subdir) - 1] if subdir and url.endswith(f"/{subdir}") else url


class QualifiedSpec(t.NamedTuple):
    """A dependency for the solver, and the channel it insists on (or None)."""

    text: str
    channel: str | None


def qualified(spec: str, channels: t.Sequence[str], directory: str, names: Channels = PUBLIC) -> QualifiedSpec:
    """Resolve the channel in C(channel::name): one of *channels* that goes by that name, else by the usual rules.

    So a mirror given instead of the spec's channels also serves the dependencies that name a channel.
    """
    head, separator, rest = spec.partition("::")
    if not separator:
        return QualifiedSpec(spec, None)
    named = names.url(head, directory)
    if not _SCHEME.match(head):
        named = next((url for url in channels if url.endswith(f"/{head.strip('/')}")), named)
    return QualifiedSpec(f"{named}::{rest}", named)
