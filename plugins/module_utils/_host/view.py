# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""A private view of the file system: in it a tree that is not live yet is at the prefix, and nobody else sees it.

A child process gets mounts of its own (unshare(2), which takes root) and binds the tree over the live one. With the
child its mounts are gone, however it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import AirgapError, DeployError

_CLONE_NEWNS = 0x00020000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_PR_SET_PDEATHSIG = 1


def in_view(tree: str, prefix: str, work: t.Callable[[], None]) -> bool:
    """Do *work* where *tree* is at *prefix*; False, and nothing done, where this host allows no such view.

    An error of *work* is raised here as C(DeployError). There must be a directory at *prefix* to mount on.
    """
    if os.geteuid() != 0 or os.path.islink(prefix) or not os.path.isdir(prefix):
        return False
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(writing, tree, prefix, work)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise DeployError(f"what was to be done with {tree} broke off; run again")
    viewed, message = json.loads(answer)
    if message:
        raise DeployError(message)
    return bool(viewed)


def _answer(writing: int, tree: str, prefix: str, work: t.Callable[[], None]) -> t.NoReturn:
    """The life of the child: it tells whether there was a view, and what *work* had to say against it."""
    try:
        error = ""
        viewed = _enter(tree, prefix)
        try:
            if viewed:
                work()
        except AirgapError as raised:
            error = str(raised)
        os.write(writing, json.dumps([viewed, error]).encode())
    finally:
        # Neither what the parent would clean up, nor its output, is this process's.
        os._exit(0)


def _enter(tree: str, prefix: str) -> bool:
    """Give this process mounts of its own, with *tree* at *prefix*; whether that could be done."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    return (
        libc.unshare(_CLONE_NEWNS) == 0
        # Or what is mounted here would be mounted for all.
        and _mount(libc, None, "/", _MS_REC | _MS_PRIVATE)
        and _mount(libc, tree, prefix, _MS_BIND)
    )


def _mount(libc: ctypes.CDLL, source: str | None, target: str, flags: int) -> bool:
    name = os.fsencode(source) if source else None
    return bool(libc.mount(name, os.fsencode(target), None, ctypes.c_ulong(flags), None) == 0)
