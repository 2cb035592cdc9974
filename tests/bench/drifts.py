# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looking for drift takes: on a host beside the least, over the fleet beside a ping, and to open the page."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from world import large_fleet
from world.browser import Browser
from world.process import say

from bench.builds import Build
from bench.figures import Figure, Pairs, summary
from bench.sites import Scene, Site, fresh_site, unchanged

PAIRS = 5
#: Of the page.
HOSTS, ENVIRONMENTS = 500, 4

_ON_HOST = Path(__file__).with_name("on_host.py")
_SHIPPED = Path(__file__).parents[2] / "plugins/module_utils"


def on_host(build: Build, scene: Scene) -> list[Figure]:
    """Deploy the example and one five times its size to one host, and look at both there, without Ansible."""
    large = build.enlarged()
    figures = []
    with fresh_site(dataclasses.replace(scene, hosts=1)) as site:
        for bundle, name, called in ((build.bundle, "my_env", "example"), (large, "large", "large environment")):
            say(f"looking at the {called}")
            site.ours(bundle, bytecode=True)
            figures += list(_on_host(site, name, called))
    return figures


def of_fleet(build: Build, scene: Scene) -> list[Figure]:
    """Deploy the example to many hosts, and look at all of them."""
    with fresh_site(scene) as site:
        site.ours(build.bundle, bytecode=True)
        say("looking at the fleet")
        pairs = [(unchanged(site.drift(build.bundle)).seconds, site.ping().seconds) for _pair in range(PAIRS)]
    return [Pairs(("quick", "ping"), "s", pairs).figure("drift of the fleet, beside a ping", 1.5)]


def _on_host(site: Site, name: str, called: str) -> Iterator[Figure]:
    told = json.loads(site.on_host(_ON_HOST, _SHIPPED, name, PAIRS))
    for mode, other, limit in (("quick", "stat walk", 2.0), ("full", "sha256sum", 1.0)):
        yield Pairs((mode, other), "s", told[mode]).figure(f"drift, {mode}, {called}", limit)


def page() -> list[Figure]:
    """Make the page of a large fleet, and open it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, Browser() as browser:
        address = large_fleet.write(Path(directory), HOSTS, ENVIRONMENTS).as_uri()
        took = [browser.open(address) for _time in range(PAIRS)]
    what = f"page of {HOSTS} hosts with {ENVIRONMENTS} environments"
    opened = f"opened {PAIRS} times: {summary(took, 's')}"
    return [Figure(what, f"{min(took):.2f} s", "<= 2.00 s", min(took) <= 2, opened)]
