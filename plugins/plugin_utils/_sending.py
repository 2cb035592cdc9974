# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Send a bundle's pieces to a host, part by part, over whatever connection the task has."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
import typing as t

from ansible import constants as C
from ansible_collections.airgap.conda.plugins.module_utils._host.digesting import digested
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.plugin_utils._bundles import Bundle
from ansible_collections.airgap.conda.plugins.plugin_utils._cache import once, stat_of

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase
    from ansible.plugins.connection import ConnectionBase

#: Bytes of one part unless the task says otherwise: what is sent anew after a cut, and what a host's temporary
#: directory must hold.
PART = 64 * 1024 * 1024

_CHUNK = 1 << 20
_COMPRESSION = re.compile(r"\s*compression\s*[\s=]\s*yes\s*", re.IGNORECASE)


def send_part(action: ActionBase, bundle: Bundle, offset: int, remote: str, size: int = PART) -> dict[str, t.Any]:
    """Send the *size* bytes of *bundle*'s stream that start at *offset*; return what the module is told of them."""
    with tempfile.NamedTemporaryFile(prefix="airgap-part-", dir=C.DEFAULT_LOCAL_TMP) as file:
        for chunk in part_of(bundle, offset, size):
            file.write(chunk)
        file.flush()
        try:
            action._connection.put_file(file.name, remote)
        except OSError as error:
            raise DeployError(f"cannot send {bundle.manifest.label}: {error}") from None
    return {
        "stream": bundle.stream,
        "path": remote,
        "offset": offset,
        "sha256": digest_of_part(bundle, offset, size),
    }


def digest_of_part(bundle: Bundle, offset: int, size: int = PART) -> str:
    """Return the sha256 (hex) of that part, found by one of all forks and runs for as long as its files' stat stays."""
    stat = " ".join(stat_of(path) for _kind, path, _piece in bundle.pieces())
    name = f"part-{bundle.stream[:16]}-{offset}-{size}"
    return once(bundle.cache, name, stat, lambda: digested(part_of(bundle, offset, size)).sha256)


def part_of(bundle: Bundle, offset: int, size: int = PART) -> t.Iterator[bytes]:
    """Yield *size* bytes of *bundle*'s stream, its pieces one after the other, from *offset* on."""
    left = size
    for _kind, path, piece in bundle.pieces():
        if offset < piece.size and left:
            for chunk in _slice(path, offset, min(left, piece.size - offset)):
                left -= len(chunk)
                yield chunk
        offset = max(0, offset - piece.size)


def _slice(path: str, offset: int, size: int) -> t.Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while size and (chunk := file.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk


def without_compression(connection: ConnectionBase) -> None:
    """Take compression out of ssh's arguments for this task; archives are compressed. All others stay."""
    with contextlib.suppress(KeyError):
        words = shlex.split(connection.get_option("ssh_args") or "")
        connection.set_option("ssh_args", shlex.join(_uncompressed(words)))


def _uncompressed(words: t.Sequence[str]) -> t.Iterator[str]:
    rest = iter(words)
    for word in rest:
        option = next(rest, "") if word == "-o" else word[2:] if word.startswith("-o") else None
        if option is None and word != "-C":
            yield word
        elif option is not None and not _COMPRESSION.fullmatch(option):
            yield from ("-o", option)


def remote_path(action: ActionBase) -> str:
    """Return where parts are put on the host, in the directory that goes with the task."""
    directory = action._connection._shell.tmpdir or action._make_tmp_path()
    return os.path.join(directory, "part")
