# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Work in a child process, so that a library that crashes when its process ends takes nothing with it.

The child is forked before it imports the library; events and the result come over a pipe as JSON lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import traceback
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask


class Events(t.Protocol):
    """What isolated work may say while it works; the same as M(Progress)."""

    def say(self, text: str) -> None:
        """A sentence for the user."""

    def count(self, text: str, done: int, total: int) -> None:
        """How many of how many are done."""

    def size(self, text: str, done: int, total: int) -> None:
        """How many bytes of how many are done."""


def isolated(what: str, work: t.Callable[[Events], t.Any], progress: Progress) -> t.Any:
    """Return what *work* returns (JSON data), run in a child; its C(BuildError) is raised here.

    A child that ends without a result is a C(BuildError) naming *what*; one that crashes after it is none.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.close(reading)
            _work(work, writing, output.fileno())
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            message = _follow(pipe, progress)
        status = os.waitpid(child, 0)[1]
        if message is None:
            raise BuildError(f"{what} ended without a result ({_ending(status)}){_last_words(output)}")
    if "error" in message:
        raise BuildError(message["error"])
    if "defect" in message:
        raise RuntimeError(f"{what}: {message['defect']}")
    return message["result"]


def _work(work: t.Callable[[Events], t.Any], writing: int, output: int) -> t.NoReturn:
    """Be the child."""
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        with _Pipe(writing) as pipe:
            pipe.send(_attempt(work, pipe))
    finally:
        # Not sys.exit: neither the parent's clean-up nor the library's may run here.
        os._exit(0)


def _attempt(work: t.Callable[[Events], t.Any], pipe: _Pipe) -> dict[str, t.Any]:
    try:
        return {"result": work(pipe)}
    except AirgapError as error:
        return {"error": str(error)}
    except Exception:
        return {"defect": mask(traceback.format_exc())}


class _Pipe:
    """The child's end: events, from whatever thread the library calls us in, then one answer."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self._lock = threading.Lock()

    def send(self, message: dict[str, t.Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()

    def say(self, text: str) -> None:
        self.send({"event": "say", "arguments": [text]})

    def count(self, text: str, done: int, total: int) -> None:
        self.send({"event": "count", "arguments": [text, done, total]})

    def size(self, text: str, done: int, total: int) -> None:
        self.send({"event": "size", "arguments": [text, done, total]})

    def __enter__(self) -> _Pipe:
        return self

    def __exit__(self, *unused: t.Any) -> None:
        self._file.close()


def _follow(pipe: t.IO[str], progress: Progress) -> dict[str, t.Any] | None:
    """Pass events on until the child ends; return its answer, if it gave one."""
    show: dict[str, t.Callable[..., None]] = {"say": progress.say, "count": progress.count, "size": progress.size}
    answer: dict[str, t.Any] | None = None
    for line in pipe:
        # A child that dies while writing leaves half a line.
        with contextlib.suppress(json.JSONDecodeError):
            message = json.loads(line)
            if "event" in message:
                show[message["event"]](*message["arguments"])
            else:
                answer = message
    return answer


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exit code {os.WEXITSTATUS(status)}"


def _last_words(output: t.IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").strip().splitlines()
    return mask(f"; its last words: {' '.join(lines[-3:])}") if lines else ""
