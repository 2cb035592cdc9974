# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""One line for the whole fleet while bytes move. Forks are processes: they share what they know by files of the run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
import typing as t
import urllib.parse

from ansible import constants as C
from ansible.utils.display import Display

SENDING = "sending"
DONE = "done"
FAILED = "failed"

#: Seconds before the first line, so that short work says nothing, and between two.
PATIENCE = 5.0
INTERVAL = 5.0

display = Display()


class Note(t.NamedTuple):
    """What one fork says of its host."""

    state: str
    #: Bytes sent in this run, and in all.
    sent: int
    total: int
    #: Seconds since 1970.
    since: float


class Fleet:
    """What all forks of this run are sending; as a context manager, one host's part in it."""

    def __init__(self, task: str, host: str, hosts: int) -> None:
        """*task*: what tells it from other tasks; *hosts*: how many it runs on."""
        self._directory = os.path.join(C.DEFAULT_LOCAL_TMP, f"airgap-{task}")
        self._path = os.path.join(self._directory, urllib.parse.quote(host, safe="").replace("~", "%7E"))
        self._hosts = hosts
        self._note: Note | None = None
        self._over = threading.Event()
        self._teller: threading.Thread | None = None

    def sending(self, total: int) -> None:
        """Say that *total* bytes are to be sent to the host."""
        if self._note is None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._note = Note(SENDING, 0, total, time.time())
            if is_watched():
                self._teller = threading.Thread(target=self._tell, daemon=True)
                self._teller.start()
        self._write(self._note._replace(total=self._note.sent + total))

    def sent(self, size: int) -> None:
        """Say that *size* more bytes have arrived."""
        if self._note is not None:
            self._write(self._note._replace(sent=self._note.sent + size))

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *unused: object) -> None:
        self.end(failed=kind is not None)

    def end(self, failed: bool) -> None:
        """Say how it ended; what was said first counts."""
        self._over.set()
        if self._teller is not None:
            self._teller.join()
        if self._note is not None and self._note.state == SENDING:
            self._write(self._note._replace(state=FAILED if failed else DONE))

    def _write(self, note: Note) -> None:
        self._note = note
        temporary = f"{self._path}.{os.getpid()}~"
        with open(temporary, "w", encoding="ascii") as file:
            json.dump(note, file)
        os.replace(temporary, self._path)

    def _tell(self) -> None:
        while not self._over.wait(1.0):
            with contextlib.suppress(OSError):
                self._tell_in_turn()

    def _tell_in_turn(self) -> None:
        """Show the line, unless another fork did so a moment ago."""
        now = time.time()
        with open(os.path.join(self._directory, "~turn"), "a+", encoding="ascii") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            turn.seek(0)
            last = float(turn.read() or 0)
            notes = self._read()
            first = min((note.since for note in notes), default=now)
            if now - last < INTERVAL or now - first < PATIENCE:
                return
            turn.truncate(0)
            turn.write(str(now))
            turn.flush()
        display.display(f"  {line(notes, self._hosts, now)}")

    def _read(self) -> list[Note]:
        notes = []
        for name in os.listdir(self._directory):
            if "~" not in name:
                with open(os.path.join(self._directory, name), encoding="ascii") as file:
                    notes.append(Note(*json.load(file)))
        return notes


def is_watched() -> bool:
    """Whether somebody sees what Ansible shows: its main process, not this fork, has the terminal."""
    for process in (os.getppid(), os.getpid()):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{process}/fd/1").startswith(("/dev/pts/", "/dev/tty", "/dev/console")):
                return True
    return False


def line(notes: t.Sequence[Note], hosts: int, now: float) -> str:
    """Return what is said of the fleet: hosts by state, bytes, rate, and how long it will take."""
    count = {state: sum(note.state == state for note in notes) for state in (DONE, SENDING, FAILED)}
    sent = sum(note.sent for note in notes)
    total = sum(note.total for note in notes if note.state != FAILED)
    seconds = max(now - min((note.since for note in notes), default=now), 0.001)
    rate = sent / seconds
    words = [
        f"{count[DONE]} of {hosts} hosts done, {count[SENDING]} sending, {count[FAILED]} failed",
        f"{sent / 1e6:.0f} MB sent, {rate / 1e6:.1f} MB/s",
    ]
    if rate and notes:
        # Those that have not begun will take as much as the others did.
        to_come = max(hosts - len(notes), 0) * sum(note.total for note in notes) / len(notes)
        left = max(total - sum(note.sent for note in notes if note.state != FAILED), 0) + to_come
        words.append(f"about {duration(left / rate)} left")
    return "; ".join(words)


def duration(seconds: float) -> str:
    """Return *seconds* as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
