# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""What the store records beside receipts: which generation became live when, and what must work in each."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store, write_whole
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Health, parse_health
from ansible_collections.airgap.conda.plugins.module_utils._model.switches import (
    Switch,
    parse_switches,
    render_switches,
    settled,
)


def now() -> str:
    """Return the time as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def recorded_switches(store: Store) -> list[Switch]:
    """Return the switches that were recorded, the first one first."""
    with contextlib.suppress(FileNotFoundError), open(store.switches, "rb") as file:
        return parse_switches(file.read())
    return []


def switches_until(store: Store, live: str) -> list[Switch]:
    """Return the switches up to the one to *live*, which an interrupted run may not have recorded."""
    return settled(recorded_switches(store), live, now())


def is_recorded(store: Store, live: str) -> bool:
    """Whether the run that made *live* live came to its end, as the record of that is the last it writes."""
    recorded = recorded_switches(store)
    return not live or (bool(recorded) and recorded[-1].generation == live)


def record_switch(store: Store, before: str, generation: str, how: str, by: str) -> None:
    """Record that *generation* became live where *before* was; nothing where that is recorded already."""
    recorded = recorded_switches(store)
    switches = settled(recorded, before, now())
    last = switches[-1].generation if switches else ""
    if generation != last:
        switches.append(Switch(generation, last, how, now(), by))
    if switches != recorded:
        write_whole(store.switches, render_switches(switches))


def packages_in(store: Store, generation: str) -> list[dict[str, t.Any]]:
    """Return the packages of *generation*; none of what was not made of a bundle, is none, or cannot be read."""
    # They are told, and decide nothing.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return t.cast("list[dict[str, t.Any]]", json.loads(store.manifest(generation))["packages"])
    return []


def health_of(store: Store, generation: str) -> Health:
    """Return what must work in *generation*; of one that says nothing, that its Python starts."""
    path = store.path("health", generation)
    try:
        with open(path, "rb") as file:
            return parse_health(json.loads(file.read()))
    except FileNotFoundError:
        return Health()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{path}: the record of health checks is damaged ({error}); remove it by hand and run again"
        ) from None


def keep_health(store: Store, generation: str, health: Health) -> None:
    """Note what must work in *generation*; for its owner's eyes, as commands may tell more than they should."""
    if health == health_of(store, generation):
        return
    text = json.dumps(health._asdict(), sort_keys=True) + "\n"
    write_whole(store.path("health", generation), (text.encode("ascii"),), 0o600)
