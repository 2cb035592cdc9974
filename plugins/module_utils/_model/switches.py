# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Switches: the record of which generation became live when, by whom, and in whose place. Pure."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import typed

DEPLOY = "deploy"
ROLLBACK = "rollback"
#: A run that was interrupted between the switch and its record.
FOUND = "found"


class Switch(t.NamedTuple):
    """One generation became live."""

    generation: str
    #: The one that was live until then; empty for none.
    before: str
    how: str
    #: ISO 8601 UTC.
    at: str
    #: Who ran Ansible, and where; empty when nobody knows.
    by: str


def render_switches(switches: t.Iterable[Switch]) -> t.Iterator[bytes]:
    """Yield the lines of the record."""
    for switch in switches:
        yield json.dumps(switch._asdict(), sort_keys=True).encode("ascii") + b"\n"


def parse_switches(text: bytes) -> list[Switch]:
    """Return what M(render_switches) wrote; a damaged line is left out, as the record decides about nothing lost."""
    return [switch for switch in map(_parse, text.splitlines()) if switch]


def _parse(line: bytes) -> Switch | None:
    try:
        fields = json.loads(line)
        return typed(Switch, {name: fields[name] for name in Switch._fields})
    except (ValueError, KeyError, TypeError):
        return None


def settled(switches: t.Sequence[Switch], live: str, at: str) -> list[Switch]:
    """Return *switches* with that to *live* added, where the run that made it did not come so far."""
    last = switches[-1].generation if switches else ""
    if not live or live == last:
        return list(switches)
    return [*switches, Switch(live, last, FOUND, at, "")]


def replaced(switches: t.Sequence[Switch]) -> str | None:
    """Return the generation whose place the last rollout took, empty for none; None where that was taken back already.

    So going back twice goes back once, whoever runs a playbook again. A rollout is what made other content live; the
    name of a generation tells its content.
    """
    for number in reversed(range(len(switches))):
        switch = switches[number]
        known = any(content_of(earlier.generation) == content_of(switch.generation) for earlier in switches[:number])
        if switch.how == ROLLBACK or (switch.how == FOUND and known):
            continue
        if content_of(switch.generation) != content_of(switch.before):
            taken_back = content_of(switches[-1].generation) != content_of(switch.generation)
            return None if taken_back else switch.before
    return ""


def content_of(generation: str) -> str:
    """Return the part of a generation's name that says what it holds."""
    return generation.partition("-")[2]
