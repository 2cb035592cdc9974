# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a host: the collection's own code for hosts, as its modules run it, and until a fault is done to it.

Reads one JSON object: what to do or to look at, and when which shell command is to be run. Python tells of each step
before it is taken (PEP 578), so what is tested needs no hooks of ours. What a controller would send lies there already.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, List, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))

#: What changes something on the host, or asks the kernel for what Python has no function for.
EFFECTS = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "os.utime", "os.fork", "subprocess.Popen", "fcntl.flock", "ctypes.dlsym",
}  # fmt: skip

#: Our code, in the path of a file of it.
OURS = "/plugins/module_utils/"

Step = Tuple[str, int]


class Watch:
    """Counts the steps of this process by name, and runs a command before one of them."""

    def __init__(self, step: List[Any], command: str) -> None:
        self._stop = tuple(step)
        self._command = command
        self._pid = os.getpid()
        self._busy = False
        self.counts: Dict[str, int] = {}

    def __call__(self, event: str, arguments: Tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if self._busy or not (writes or event in EFFECTS):
            return
        name = self._name(f"open of {os.path.basename(str(arguments[0]))[-4:]}" if writes else event, arguments)
        if not name:
            return
        self.counts[name] = self.counts.get(name, 0) + 1
        if (name, self.counts[name]) == self._stop:
            self._busy = True
            # Of the module, though the step may be one of a child of it.
            fault(self._command, self._pid)
            self._busy = False

    @staticmethod
    def _name(event: str, arguments: Tuple[Any, ...]) -> str:
        """The functions of ours that take the step, outermost but one first."""
        if event == "ctypes.dlsym":
            event = str(arguments[1])
        elif event.startswith("open of"):
            event = "open"
        frame, functions = sys._getframe(2), []
        while frame is not None:
            if OURS in frame.f_code.co_filename:
                functions.append(frame.f_code.co_name)
            frame = frame.f_back  # type: ignore[assignment]
        return " > ".join([*reversed(functions[:3]), event]) if functions else ""


def fault(command: str, pid: int) -> None:
    if command == "kill":
        os.kill(pid, signal.SIGKILL)
        time.sleep(60)
    subprocess.call(["/bin/sh", "-c", command], env={**os.environ, "MODULE": str(pid)})


def after(seconds: float, command: str) -> None:
    """Have a process of its own run the command when so much time went by."""
    pid = os.getpid()
    if os.fork() == 0:
        nothing = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        time.sleep(seconds)
        if os.getppid() == pid:
            fault(command, pid)
        os._exit(0)


def main() -> None:
    sys.path.insert(0, HERE)
    plan = json.load(sys.stdin)
    from ansible_collections.airgap.conda.plugins.module_utils._host.drift import inspect
    from ansible_collections.airgap.conda.plugins.module_utils._host.host import reconcile
    from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
    from ansible_collections.airgap.conda.plugins.module_utils._host.rolling_back import roll_back
    from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError

    os.umask(0o022)
    watch = Watch(plan.get("step") or [], plan.get("command", "kill"))
    sys.addaudithook(watch)
    if plan.get("seconds") is not None:
        after(plan["seconds"], plan.get("command", "kill"))
    began = time.monotonic()
    parts: List[Any] = []
    told: Dict[str, Any] = {}
    try:
        while not told or told["awaited"]:
            with Progress() as progress, contextlib.ExitStack() as locks:
                if "look" in plan:
                    told = {**inspect([plan["look"]], (), plan["may_write"], progress), "awaited": []}
                elif "order" in plan:
                    told = reconcile([plan["order"]], parts, False, progress, locks)
                else:
                    told = roll_back(plan["request"], parts, False, progress, locks)
            parts = [part(plan["bundle"], awaited) for awaited in told["awaited"]]
    except (AirgapError, OSError) as error:
        told = {"error": str(error)}
    watched = {name: count for name, count in watch.counts.items() if "part" not in name.split(" > ")}
    print(json.dumps({**told, "steps": watched, "seconds": time.monotonic() - began}))


def part(bundle: List[str], awaited: Dict[str, Any]) -> Dict[str, Any]:
    """Make a part of what is awaited, a third of the stream, as a controller would send it."""
    stream = b""
    for path in bundle:
        with open(path, "rb") as file:
            stream += file.read()
    data = stream[awaited["offset"] :][: len(stream) // 3 + 1]
    with open(os.path.join(HERE, "part"), "wb") as file:
        file.write(data)
    return {
        "stream": awaited["stream"],
        "path": os.path.join(HERE, "part"),
        "offset": awaited["offset"],
        "sha256": hashlib.sha256(data).hexdigest(),
    }


if __name__ == "__main__":
    main()
