# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Follow the progress file of a module while it runs, over whatever connection the task has."""

from __future__ import annotations

import contextlib
import shlex
import threading
import typing as t
import uuid

from ansible.errors import AnsibleError
from ansible.utils.display import Display

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

#: Seconds before the first look, so that short work costs nothing; then between looks.
PATIENCE = 3.0
INTERVAL = 1.5

display = Display()


class _Follower(threading.Thread):
    """Reads what was appended since the last look and displays it, line by line."""

    def __init__(self, action: ActionBase, path: str, host: str) -> None:
        super().__init__(daemon=True)
        self._action = action
        self._path = path
        self._host = host
        self._offset = 0
        self._over = threading.Event()

    def run(self) -> None:
        delay = PATIENCE
        while not self._over.wait(delay):
            delay = INTERVAL
            with contextlib.suppress(AnsibleError, OSError):
                self._look()

    def _look(self) -> None:
        command = f"tail -c +{self._offset + 1} {shlex.quote(self._path)} 2>/dev/null || true"
        text: str = self._action._low_level_execute_command(command)["stdout"]
        # Not counted by length: a terminal on the way makes two bytes of a line break.
        for line in text[: text.rfind("\n") + 1].splitlines():
            self._offset += len(line.encode()) + 1
            display.display(f"  {self._host}: {line}")

    def finish(self) -> None:
        self._over.set()
        self.join()


@contextlib.contextmanager
def follow(action: ActionBase, host: str, verbosity: int) -> t.Iterator[str | None]:
    """Yield the path of a progress file for a module on *host*; what it appends is displayed until the block ends.

    Below *verbosity* nothing is followed, and there is no path.
    """
    if display.verbosity < verbosity:
        yield None
        return
    path = f"/tmp/.airgap-{uuid.uuid4().hex}.progress"
    follower = _Follower(action, path, host)
    follower.start()
    try:
        yield path
    finally:
        follower.finish()
