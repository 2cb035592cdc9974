# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The plan: from what an order wants and what was found on the host to what shall be done. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header

#: How many paths a sentence names.
NAMED = 3


class Damage(t.NamedTuple):
    """How a live tree differs from its receipt; paths below the prefix."""

    missing: t.Tuple[str, ...] = ()
    modified: t.Tuple[str, ...] = ()
    #: Not of the receipt, bytecode of its sources and registration aside.
    unexpected: t.Tuple[str, ...] = ()


class Found(t.NamedTuple):
    """What is at a prefix."""

    #: Whether there is anything at all.
    exists: bool
    #: Of the live generation; None when there is none of ours.
    header: t.Optional[Header]
    damage: Damage = Damage()


class Want(t.NamedTuple):
    """What shall be live, resolved for this host."""

    content_id: str
    bytecode: bool
    uid: int
    gid: int


class Plan(t.NamedTuple):
    """What shall be done with one environment; *actions* are sentences."""

    #: A new generation has to be staged and switched to.
    deploy: bool = False
    #: One that is kept in the store and just what is wanted; empty where it has to be made.
    generation: str = ""
    remove: bool = False
    actions: t.Tuple[str, ...] = ()


def plan_present(prefix: str, want: Want, found: Found) -> Plan:
    """Return how *want* becomes live at *prefix*; raise C(DeployError) where something of the user's is in the way."""
    header = found.header
    if header is None:
        if found.exists:
            raise DeployError(
                f"{prefix} exists and was not deployed by airgap.conda; it is left as it is."
                " Move it away, or deploy to another env_deploy_envs_dir or name"
            )
        return Plan(deploy=True, actions=(f"deploy {want.content_id[:12]} at {prefix}",))
    reasons = tuple(_reasons(want, header, found.damage))
    return Plan(deploy=bool(reasons), actions=tuple(f"{reason} at {prefix}" for reason in reasons))


def is_wanted(want: Want, header: Header) -> bool:
    """Whether the generation of *header* is what is wanted, as long as its tree is intact."""
    return want == Want(header.content_id, header.bytecode, header.uid, header.gid)


def _reasons(want: Want, header: Header, damage: Damage) -> t.Iterator[str]:
    if want.content_id != header.content_id:
        yield f"replace {header.content_id[:12]} by {want.content_id[:12]}"
    if (want.uid, want.gid) != (header.uid, header.gid):
        yield f"change the owner from {header.uid}:{header.gid} to {want.uid}:{want.gid}"
    if want.bytecode != header.bytecode:
        yield "compile bytecode" if want.bytecode else "leave out bytecode"
    if damage.missing:
        yield f"put back {_some(damage.missing)} (missing)"
    if damage.modified:
        yield f"put back {_some(damage.modified)} (modified)"


def plan_absent(prefix: str, found: Found) -> Plan:
    """Return how *prefix* becomes free; raise C(DeployError) for what airgap.conda did not put there."""
    if found.header is None:
        if found.exists:
            raise DeployError(f"{prefix} has no receipt of airgap.conda, so it is not removed; remove it by hand")
        return Plan()
    if found.damage.unexpected:
        raise DeployError(
            f"{prefix} holds files that airgap.conda did not deploy: {_some(found.damage.unexpected)};"
            " it is not removed. Move them away, or uninstall what brought them"
        )
    return Plan(remove=True, actions=(f"remove {prefix} ({found.header.content_id[:12]})",))


def _some(paths: t.Sequence[str]) -> str:
    named = ", ".join(sorted(paths)[:NAMED])
    return named if len(paths) <= NAMED else f"{named} and {len(paths) - NAMED} more"
