# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""The plan: from what an order wants and what was found on the host to what shall be done. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import (
    UNEXPECTED_CLEAR,
    UNEXPECTED_FAIL,
    UNEXPECTED_REMOVE,
    Keeping,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import Header, number_of
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import Switch, content_of

#: How many paths a sentence names.
NAMED = 3

_KEEPING = Keeping()


class Damage(t.NamedTuple):
    """How a live tree differs from its receipt; paths below the prefix."""

    missing: t.Tuple[str, ...] = ()
    modified: t.Tuple[str, ...] = ()
    #: Not of the receipt, bytecode of its sources and registration aside.
    unexpected: t.Tuple[str, ...] = ()


_NO_DAMAGE = Damage()


class Found(t.NamedTuple):
    """What is at a prefix."""

    #: Whether there is anything at all.
    exists: bool
    #: Of the live generation; None when there is none of ours.
    header: t.Optional[Header]
    damage: Damage = Damage()
    #: Whether it could be kept as generation zero.
    adoptable: bool = False
    #: Who brought what no receipt knows, in words.
    brought: t.Tuple[str, ...] = ()
    #: Whether anything is there that no receipt has, caches of unchanged sources and empty directories aside.
    strange: bool = False


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
    #: What is at the prefix, and not ours, has to be recorded as generation zero before.
    adopt: bool = False
    remove: bool = False
    actions: t.Tuple[str, ...] = ()


def plan_present(prefix: str, want: Want, found: Found, keeping: Keeping = _KEEPING) -> Plan:
    """Return how *want* becomes live at *prefix*; raise C(DeployError) where something of the user's is in the way."""
    header = found.header
    if header is None:
        return _plan_first(prefix, want, found, keeping)
    if number_of(header.generation) == 0:
        # What is in there is its owner's: all of it is recorded.
        return Plan(deploy=True, adopt=True, actions=tuple(f"{each} at {prefix}" for each in _reasons(want, header)))
    reasons = tuple(_reasons(want, header, found.damage))
    if found.strange and keeping.on_unexpected in (UNEXPECTED_CLEAR, UNEXPECTED_REMOVE):
        reasons = (*reasons, "put back what was deployed, and nothing else,")
    actions = [f"{reason} at {prefix}" for reason in reasons]
    if reasons and found.damage.unexpected:
        actions.append(_keep_aside(prefix, found, keeping))
    return Plan(deploy=bool(reasons), actions=tuple(actions))


def _plan_first(prefix: str, want: Want, found: Found, keeping: Keeping) -> Plan:
    deploy = f"deploy {want.content_id[:12]} at {prefix}"
    if not found.exists:
        return Plan(deploy=True, actions=(deploy,))
    if not keeping.adopt:
        raise DeployError(
            f"{prefix} exists and was not deployed by airgap.conda; it is left as it is. Move it away, deploy to"
            " another env_deploy_envs_dir or name, or have it kept as generation zero with env_deploy_adopt"
        )
    if not found.adoptable:
        raise DeployError(f"{prefix} is no directory that can be renamed, so it cannot be adopted; move it away")
    return Plan(deploy=True, adopt=True, actions=(f"keep what is at {prefix} as generation zero", deploy))


def _keep_aside(prefix: str, found: Found, keeping: Keeping) -> str:
    """Return the action for files that no receipt knows; raise C(DeployError) where they are not to be moved."""
    if keeping.on_unexpected == UNEXPECTED_FAIL:
        raise DeployError(
            f"{prefix} holds files that airgap.conda did not deploy: {_first(found.brought)}; nothing was changed."
            " Move them away, uninstall what brought them, or have them kept aside with env_deploy_on_unexpected=keep"
        )
    what = f"what airgap.conda did not deploy at {prefix}: {_first(found.brought)}"
    return f"remove {what}" if keeping.on_unexpected == UNEXPECTED_REMOVE else f"keep aside {what}"


def superfluous(kept: t.Sequence[str], switches: t.Sequence[Switch], live: str, keep: int) -> list[str]:
    """Return which of the generations *kept* beside the *live* one are not needed where *keep* are, that one included.

    What was live last is needed first, what holds the same as the live one not at all. Generation zero is its owner's
    and does not count.
    """
    last = {name: number for number, switch in enumerate(switches) for name in (switch.before, switch.generation)}
    ours = [name for name in kept if number_of(name)]
    others = [name for name in ours if content_of(name) != content_of(live)]
    ranked = sorted(others, key=lambda name: (last.get(name, -1), number_of(name)), reverse=True)
    return [name for name in ours if name not in ranked[: keep - 1]]


def is_wanted(want: Want, header: Header) -> bool:
    """Whether the generation of *header* is what is wanted, as long as its tree is intact."""
    return want == Want(header.content_id, header.bytecode, header.uid, header.gid)


def _reasons(want: Want, header: Header, damage: Damage = _NO_DAMAGE) -> t.Iterator[str]:
    if want.content_id != header.content_id:
        yield f"replace {header.content_id[:12]} by {want.content_id[:12]}"
    if (want.uid, want.gid) != (header.uid, header.gid):
        yield f"change the owner from {header.uid}:{header.gid} to {want.uid}:{want.gid}"
    if want.bytecode != header.bytecode:
        yield "compile bytecode" if want.bytecode else "leave out bytecode"
    if damage.missing:
        yield f"put back {some(damage.missing)} (missing)"
    if damage.modified:
        yield f"put back {some(damage.modified)} (modified)"


def plan_absent(prefix: str, found: Found, kept: t.Sequence[str] = (), keeping: Keeping = _KEEPING) -> Plan:
    """Return how *prefix* becomes free; raise C(DeployError) for what airgap.conda did not put there."""
    header = found.header
    if header is None and found.exists:
        raise DeployError(f"{prefix} has no receipt of airgap.conda, so it is not removed; remove it by hand")
    generations = [*kept, *([header.generation] if header else [])]
    zero = [name for name in generations if number_of(name) == 0]
    if zero and keeping.on_unexpected == UNEXPECTED_FAIL:
        raise DeployError(
            f"generation {zero[0]} of {prefix} was adopted, not deployed, so nothing is removed; move it to where it"
            " belongs, or have it kept aside with env_deploy_on_unexpected=keep"
        )
    if header is None:
        return Plan()
    actions = [f"remove {prefix} ({header.content_id[:12]})"]
    if found.damage.unexpected:
        actions.append(_keep_aside(prefix, found, keeping))
    return Plan(remove=True, actions=tuple(actions))


def some(paths: t.Sequence[str]) -> str:
    """Return the first of *paths* and how many more there are."""
    return _first(sorted(paths))


def _first(words: t.Sequence[str]) -> str:
    named = ", ".join(words[:NAMED])
    return named if len(words) <= NAMED else f"{named} and {len(words) - NAMED} more"
