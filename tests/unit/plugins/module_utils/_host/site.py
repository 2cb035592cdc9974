# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host in a directory, and a controller that sends it tiny bundles."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.airgap.conda.plugins.module_utils._host.host import reconcile
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._host.rolling_back import roll_back
from ansible_collections.airgap.conda.plugins.module_utils._host.store import Store
from ansible_collections.airgap.conda.plugins.module_utils._host.tree import stat_index
from ansible_collections.airgap.conda.plugins.module_utils._model.files import GENERATION_MARKER
from ansible_collections.airgap.conda.tests.unit.plugins.module_utils._host.tiny import TinyBundle, snapshot

Fields = t.Dict[str, t.Any]


class Site:
    """One host, and a controller that sends it bundles in small parts."""

    #: Bytes.
    part_size = 300

    def __init__(self, top: Path) -> None:
        self.top = top
        self.home = top / "home"
        self.envs = top / "conda/envs"
        self.prefix = self.envs / "ml"
        self.store = Store(str(self.envs), "ml")
        self.home.mkdir()
        self.envs.mkdir(parents=True)

    def order(self, *bundles: TinyBundle, **fields: t.Any) -> Fields:
        """Return an order as the module gets it; registration stays within the site."""
        register = {"conda_root": str(self.top / "conda"), "commands": ["tool"], **fields.pop("register", {})}
        return {
            "name": "ml",
            "envs_dir": str(self.envs),
            "state": "present" if bundles else "absent",
            "offers": {bundle.manifest.needs.platform: bundle.offer for bundle in bundles},
            "verify": "quick",
            "bytecode": False,
            "register": register,
            **fields,
        }

    def run(self, *orders: Fields, parts: t.Sequence[Fields] = (), check_mode: bool = False) -> Fields:
        """Execute the module once."""
        with Progress() as progress, contextlib.ExitStack() as locks:
            return reconcile(orders, parts, check_mode, progress, locks)

    def back(
        self,
        to: str = "",
        *bundles: TinyBundle,
        parts: t.Sequence[Fields] = (),
        check_mode: bool = False,
        **fields: t.Any,
    ) -> Fields:
        """Execute the module that goes back once."""
        offers = {bundle.manifest.needs.platform: bundle.offer for bundle in bundles}
        request = {"name": "ml", "envs_dir": str(self.envs), "to": to, "force": False, "offers": offers, **fields}
        with Progress() as progress, contextlib.ExitStack() as locks:
            return roll_back(request, parts, check_mode, progress, locks)

    def part(self, stream: bytes, awaited: Fields, size: int = 0) -> Fields:
        """Put the awaited part on the host."""
        data = stream[awaited["offset"] : awaited["offset"] + (size or self.part_size)]
        path = self.top / "part"
        path.write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        return {"stream": awaited["stream"], "path": str(path), "offset": awaited["offset"], "sha256": sha256}

    def present(self, bundle: TinyBundle, **fields: t.Any) -> list[Fields]:
        """Execute the module and send what it awaits until it awaits nothing; return all results."""
        order, stream = self.order(bundle, **fields), bundle.stream
        results = [self.run(order)]
        while results[-1]["awaited"]:
            (awaited,) = results[-1]["awaited"]
            results.append(self.run(order, parts=[self.part(stream, awaited)]))
        return results

    def tree(self) -> Fields:
        """Return what is live, but for the name of the generation."""
        found = snapshot(self.prefix)
        found.pop(GENERATION_MARKER, None)
        return found

    def output(self) -> str:
        """Return what the tool says, as users run it."""
        return subprocess.run([self.home / ".local/bin/tool"], stdout=subprocess.PIPE, text=True, check=True).stdout

    def generations(self) -> list[str]:
        return sorted(os.listdir(self.store.path("generations", "")))

    def assert_settled(self, *orders: Fields) -> None:
        """One more run finds nothing to do and writes nothing, not even in the store."""
        before = snapshot(self.top), stat_index(str(self.top))
        result = self.run(*orders)
        assert (result["changed"], result["actions"], result["awaited"]) == (False, [], [])
        assert (snapshot(self.top), stat_index(str(self.top))) == before
        assert not os.path.exists(self.store.staging)
        if self.store.exists:
            assert os.listdir(self.store.path("incoming", "")) == []


def without_marks(tree: Fields) -> Fields:
    """Return *tree* without what registration puts there, which comes after the switch."""
    marks = ("conda-meta/frozen", "lib/python3.11/EXTERNALLY-MANAGED")
    return {path: state for path, state in tree.items() if not path.startswith(marks)}


def no_view(*_arguments: t.Any) -> bool:
    """Stands for what a host without rights to mount says; see test_view."""
    return False
