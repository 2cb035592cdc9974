# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Why a solve failed, in one line a person can act on."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import package_name
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import MASK, mask

#: A line of the tree that the solver draws.
_BRANCH = re.compile(r"(?P<indent>[\s│|]*)(?P<fork>[├└])─*\s*(?P<text>.*)")


def unknown_packages(dependencies: t.Iterable[str], known: t.Iterable[str], channels: t.Iterable[str]) -> str | None:
    """Say which *dependencies* no channel has, with the nearest names; None where all are *known*."""
    names = sorted(known)
    missing = [name for name in map(package_name, dependencies) if name not in names]
    if not missing:
        return None
    return f"{'; '.join(_unknown(name, names) for name in missing)} (channels: {mask(', '.join(channels))})"


def elsewhere(found: t.Mapping[str, t.Collection[str]], platform: str) -> str | None:
    """Say which dependencies there are only for other platforms (*found*, by dependency); None where it is none."""
    if not found:
        return None
    said = (f"{mask(dependency)} exists for {_and(platforms)} only" for dependency, platforms in found.items())
    return f"{'; '.join(said)}, and the hosts are {platform}; take the build or package away, or mark it `# [win]`"


def _and(names: t.Iterable[str]) -> str:
    *first, last = sorted(names)
    return f"{', '.join(first)} and {last}" if first else last


def _unknown(name: str, known: t.Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"no channel has a package {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def unsatisfiable(explanation: str, assumed: t.Iterable[VirtualPackage]) -> str:
    """Make one line of the solver's own tree; where it turns on what was *assumed* of the hosts, say that too."""
    sentence = f"the dependencies cannot be satisfied together: {_sentence(explanation)}"
    hosts = ", ".join(f"{package.name} {package.version}" for package in assumed if package.name in explanation)
    return f"{sentence} (assumed of the hosts, see virtual_packages: {hosts})" if hosts else sentence


def unreachable(explanation: str, channels: t.Sequence[str]) -> str:
    """Say which channel cannot be read, and why."""
    said = mask(explanation).splitlines()
    # Neither login nor masked login is in what the library says.
    addresses = [mask(url).replace(f"{MASK}@", "") for url in channels]
    culprit = next((url for line in said for url in addresses if url in line), None)
    named = f"channel {culprit}" if culprit else f"a channel ({mask(', '.join(channels))})"
    causes = [line.replace("Caused by: ", "").strip() for line in said]
    reason = "; ".join(dict.fromkeys((causes[0], causes[-1])))
    return f"{named} cannot be read: {reason}. Check its address, and the builder's proxy and CA settings"


def _sentence(tree: str) -> str:
    """Join the branches of a drawn tree: a lone child goes on the sentence, everything else starts a clause."""
    text = re.sub(r"^Cannot solve the request because of:\s*", "", tree.strip())
    sentence, depth = "", -1
    for line in text.splitlines():
        branch = _BRANCH.match(line)
        if branch:
            is_lone_child = branch["fork"] == "└" and len(branch["indent"]) > depth
            depth = len(branch["indent"])
            sentence += (" " if is_lone_child else "; ") + branch["text"]
        else:
            sentence += f" {line}"
    return mask(" ".join(sentence.split()))
