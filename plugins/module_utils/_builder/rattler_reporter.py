# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What py-rattler says while it installs, made into progress. Its callbacks come from several threads."""

from __future__ import annotations

import itertools
import threading

from ansible_collections.airgap.conda.plugins.module_utils._builder.isolation import Events


class Reporter:
    """Has a method for every event that rattler may announce; tokens join the starts and the ends."""

    def __init__(self, events: Events, packages: int) -> None:
        self._events = events
        self._packages = packages
        self._lock = threading.Lock()
        self._tokens = itertools.count()
        self._fetched: dict[int, tuple[int, int]] = {}
        self._linked = 0
        self._scripts: dict[int, str] = {}
        #: Names of the packages whose post-link script failed.
        self.failed_scripts: list[str] = []

    def on_transaction_start(self, total_operations: int) -> None:
        self._events.say(f"fetching and installing {total_operations} packages")

    def on_transaction_operation_start(self, operation: int) -> None:
        pass

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        return next(self._tokens)

    def on_validate_start(self, cache_entry: int) -> int:
        return next(self._tokens)

    def on_validate_complete(self, validate_idx: int) -> None:
        pass

    def on_download_start(self, cache_entry: int) -> int:
        return next(self._tokens)

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        with self._lock:
            self._fetched[download_idx] = (progress, total or progress)
            done, known = (sum(sizes) for sizes in zip(*self._fetched.values()))
            self._events.size("fetching", done, known)

    def on_download_completed(self, download_idx: int) -> None:
        pass

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        pass

    def on_unlink_start(self, operation: int, package_name: str) -> int:
        return next(self._tokens)

    def on_unlink_complete(self, index: int) -> None:
        pass

    def on_link_start(self, operation: int, package_name: str) -> int:
        return next(self._tokens)

    def on_link_complete(self, index: int) -> None:
        with self._lock:
            self._linked += 1
            self._events.count("installing", self._linked, self._packages)

    def on_transaction_operation_complete(self, operation: int) -> None:
        pass

    def on_transaction_complete(self) -> None:
        pass

    def on_post_link_start(self, package_name: str, script_path: str) -> int:
        token = next(self._tokens)
        self._scripts[token] = package_name
        return token

    def on_post_link_complete(self, index: int, success: bool) -> None:
        if not success:
            self.failed_scripts.append(self._scripts.get(index, "a package"))

    def on_pre_unlink_start(self, package_name: str, script_path: str) -> int:
        return next(self._tokens)

    def on_pre_unlink_complete(self, index: int, success: bool) -> None:
        pass
