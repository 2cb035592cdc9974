# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment of a host to which faults are done, and how many of them it survived."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Shelf

from world import bundles, fault_driver, receipt_check
from world.fleet import Host

ENVS = "/srv/envs"
#: Where on the host the driver and the bundles lie.
HERE = "/root/faults"

Fields = dict[str, Any]


class Bundle:
    """A bundle that lies on a host already, for the driver to hand on."""

    def __init__(self, name: str, path: Path, cache: Path) -> None:
        self.path = path
        found = Shelf(str(cache)).bundle(str(path))
        self.offer = {found.manifest.needs.platform: found.offer()}
        self.content_id = found.manifest.content_id
        self.files = [f"{HERE}/{name}/{os.path.basename(path)}" for _kind, path, _piece in found.pieces()]


def bring(host: Host) -> None:
    """Have the driver, and what modules take to hosts, lie on *host*."""
    utils = Path(__file__).parents[2] / "plugins/module_utils"
    host.push(utils, f"{HERE}/ansible_collections/airgap/conda/plugins/module_utils")
    host.push(Path(fault_driver.__file__), f"{HERE}/driver.py")


def drive(host: Host, plan: Fields) -> Fields:
    """Have the driver do what *plan* says; what it tells, or that it was killed."""
    (host.root / HERE[1:] / "plan.json").write_text(json.dumps(plan))
    done = host.run(f"python3 {HERE}/driver.py < {HERE}/plan.json", check=False, timeout=300)
    if done.returncode:
        # The shell that waits for a killed one says 128 + 9.
        assert done.returncode in (137, -9), done.stderr
        return {"killed": True}
    told: Fields = json.loads(done.stdout.splitlines()[-1])
    return told


class Victim:
    """An environment of a host to which faults are done."""

    def __init__(self, host: Host, pair: dict[str, Bundle]) -> None:
        self.host = host
        self._pair = pair
        bring(host)
        host.push(Path(receipt_check.__file__), f"{HERE}/receipt_check.py")
        for name, bundle in pair.items():
            host.push(bundle.path, f"{HERE}/{name}")

    def deploy(self, name: str, **fault: Any) -> Fields:
        """Bring a bundle to the host, as far as the fault lets it."""
        register = {"users": ["root"], "profile": True, "frozen": True, "commands": ["clear"]}
        order = {
            "name": "small",
            "envs_dir": ENVS,
            "state": "present",
            "offers": self._pair[name].offer,
            "verify": "quick",
            "bytecode": True,
            "health": {"commands": [f"test -d {ENVS}/small/lib"]},
            "register": register,
            "keep": 2,
        }
        return drive(self.host, {"order": order, "bundle": self._pair[name].files, **fault})

    def back(self, to: str, **fault: Any) -> Fields:
        """Have the generation of that bundle live."""
        request = {"name": "small", "envs_dir": ENVS, "to": self._pair[to].content_id, "force": False}
        return drive(self.host, {"request": request, "bundle": self._pair[to].files, **fault})

    def check(self) -> Fields:
        """Compare every file with every receipt."""
        return self.receipts("small")

    def live(self) -> str:
        """The one generation that the live tree is, to the last file."""
        told = self.check()
        assert len(told["trees"]["live"]) == 1, told
        (generation,) = told["trees"]["live"]
        assert self.host.run(f"cat {ENVS}/small/conda-meta/airgap-generation").stdout.strip() == generation
        return str(generation)

    def holds(self, generation: str) -> str:
        """Which bundle a generation is of."""
        return next(name for name, each in self._pair.items() if generation.endswith(each.content_id[:12]))

    def assert_settled(self, name: str) -> None:
        """Live is that bundle, every tree is what its name says, and nothing is left or to be done."""
        told = self.check()
        live = self.live()
        assert self.holds(live) == name
        assert told["left"] == [], told
        for place, matches in told["trees"].items():
            assert place == "live" or matches == [place], told
        again = self.deploy(name)
        assert (again.get("changed"), again["environments"][0]["recovered"]) == (False, []), again

    def receipts(self, name: str) -> Fields:
        """What receipt_check tells of an environment."""
        told: Fields = json.loads(self.host.run(f"python3 {HERE}/receipt_check.py {ENVS} {name}").stdout)
        return told


def make_pair(cache: Path) -> dict[str, Bundle]:
    """Two bundles of one environment."""
    specs = {"old": bundles.SMALL_EARLIER, "new": bundles.SMALL}
    return {name: Bundle(name, bundles.ensure(spec), cache) for name, spec in specs.items()}


class Tally:
    """Counts the faults that were survived, for the end of the suite; one that is not fails its test."""

    def __init__(self, count: Callable[[str, int], None]) -> None:
        self._count = count

    @contextmanager
    def attempt(self, kind: str) -> Iterator[None]:
        """Count one more; it is survived when the block says nothing against it."""
        yield
        self._count(f"faults survived: {kind}", 1)
