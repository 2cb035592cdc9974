# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Which generation of an environment is gone back to. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import Switch, content_of, replaced

#: Hex digits from which on a text names a content; fewer may be a slip of the pen.
_LEAST = 4

_NUMBER = re.compile(r"[0-9]+")


class Kept(t.NamedTuple):
    """A generation that is on the host."""

    generation: str
    content_id: str
    live: bool = False
    #: Its health check failed, so that it never stayed live.
    failed: bool = False


def choose(prefix: str, to: str, kept: t.Sequence[Kept], switches: t.Sequence[Switch], force: bool) -> Kept:
    """Return the generation to be live at *prefix*; C(DeployError) where there is none such.

    *to*: its number, its name, or the beginning of its content id; empty for what the last rollout took the place of,
    and for what is live where that was taken back already.
    """
    if not kept:
        raise DeployError(
            f"{prefix} has no generation of airgap.conda; check env_rollback_name and env_rollback_envs_dir"
        )
    found = _named(prefix, to, kept) if to else _before(prefix, kept, switches)
    if found.failed and not found.live and not force:
        raise DeployError(
            f"generation {found.generation} of {prefix} failed its health check;"
            " with env_rollback_force it becomes live all the same"
        )
    return found


def _before(prefix: str, kept: t.Sequence[Kept], switches: t.Sequence[Switch]) -> Kept:
    live = [each for each in kept if each.live]
    before = replaced(switches)
    if before is None and live:
        return live[0]
    if not before:
        raise DeployError(
            f"no other generation was live at {prefix} before; name one with env_rollback_to: {_names(kept)}"
        )
    # The name tells the content: a damaged one may have been made anew under another number.
    same = [each for each in kept if content_of(each.generation) == content_of(before) and not each.failed]
    exact = [each for each in same if each.generation == before]
    if not same:
        raise DeployError(
            f"generation {before}, which was live at {prefix} before, is not kept any more; roll its bundle out,"
            f" or name another one with env_rollback_to: {_names(kept)}"
        )
    return (exact or same)[-1]


def _named(prefix: str, to: str, kept: t.Sequence[Kept]) -> Kept:
    found = [each for each in kept if each.generation == to]
    if not found and _NUMBER.fullmatch(to):
        found = [each for each in kept if _number(each.generation) == int(to)]
    if not found and len(to) >= _LEAST:
        found = [each for each in kept if each.content_id.startswith(to.lower())]
    contents = {each.content_id for each in found}
    if len(contents) > 1:
        raise DeployError(
            f"{to} may be more than one generation of {prefix}: {_names(found)}; say more of the content id"
        )
    if not found:
        raise DeployError(f"{prefix} has no generation {to}; those that are kept are {_names(kept)}")
    # Of one content the live one, else the newest of those that were healthy.
    return max(found, key=lambda each: (each.live, not each.failed, _number(each.generation)))


def _number(generation: str) -> int:
    return int(generation.partition("-")[0])


def _names(kept: t.Iterable[Kept]) -> str:
    return ", ".join(f"{each.generation}{' (live)' if each.live else ''}" for each in kept)
