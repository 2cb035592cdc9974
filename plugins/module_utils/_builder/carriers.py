# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Carrier files: what lets a person with C(tar) alone use an archive. Never deployed by us, not in the content id."""

from __future__ import annotations

import ast
import importlib.resources
import inspect
import json
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model import relocation
from ansible_collections.airgap.conda.plugins.module_utils._model.files import FILE, LINK, PLACEHOLDER, Entry

#: conda-pack's activation scripts, which work for an environment at any path.
_ACTIVATION = ("activate", "activate.fish", "deactivate")

#: Starts under the Python beside it, however it is called and with nothing on the PATH; without one, under the host's.
_BESIDE = '"$(cd "$(dirname "$0")" && pwd)/python"'
_OF_THE_HOST = "python3"
_UNPACK_HEAD = """\
#!/bin/sh
'''exec' {python} "$0" "$@"
'''
# conda-unpack: makes the files of this environment carry the path they lie at. Run it once, after unpacking.
"""

_UNPACK_TAIL = """

RECORDS = json.loads({records!r})
LINKS = json.loads({links!r})
LINK_PLACEHOLDER = {placeholder!r}


def read(path):
    with open(path, "rb") as file:
        yield from iter(lambda: file.read(1 << 20), b"")


def fix_file(path, relocations, prefix):
    temporary = path + ".conda-unpack"
    with open(temporary, "wb") as file:
        for chunk in relocate(read(path), relocations, prefix):
            file.write(chunk)
    shutil.copystat(path, temporary)
    os.replace(temporary, path)


def fix_link(path, target, prefix):
    temporary = path + ".conda-unpack"
    os.symlink(target.replace(LINK_PLACEHOLDER, prefix), temporary)
    os.replace(temporary, path)


def main():
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = os.path.join(prefix, "conda-meta", "conda-unpacked")
    if os.path.exists(done):
        with open(done) as file:
            if file.read() == prefix:
                return 0
        print("conda-unpack: this environment was unpacked at another path; unpack the archive again", file=sys.stderr)
        return 1
    room = min([len(old.encode()) for _path, records in RECORDS for old, mode in records if mode == "binary"] or [4095])
    if len(os.fsencode(prefix)) > room:
        print("conda-unpack: this path has more than", room, "bytes; unpack the archive at a shorter", file=sys.stderr)
        return 1
    for path, relocations in RECORDS:
        fix_file(os.path.join(prefix, path), relocations, prefix)
    for path, target in LINKS:
        fix_link(os.path.join(prefix, path), target, prefix)
    with open(done, "w") as file:
        file.write(prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
"""


class Carrier(t.NamedTuple):
    """One carrier file."""

    entry: Entry
    text: bytes


def carriers(entries: t.Sequence[Entry]) -> list[Carrier]:
    """Return the carrier files for an archive of *entries*; a package's own file of the same path goes first."""
    taken = {entry.path for entry in entries}
    texts = {f"bin/{name}": _activation_script(name) for name in _ACTIVATION}
    texts["bin/conda-unpack"] = unpack_script(entries)
    return [
        Carrier(Entry(path, FILE, mode=0o755, size=len(text)), text)
        for path, text in sorted(texts.items())
        if path not in taken
    ]


def _activation_script(name: str) -> bytes:
    return importlib.resources.files("conda_pack").joinpath("scripts", "posix", name).read_bytes()


def unpack_script(entries: t.Sequence[Entry]) -> bytes:
    """Return C(bin/conda-unpack) for an archive of *entries*: our relocation with our records."""
    relocated = [entry for entry in entries if entry.relocations]
    records = [[entry.path, entry.relocations] for entry in relocated if entry.type == FILE]
    links = [[entry.path, entry.target] for entry in relocated if entry.type == LINK]
    tail = _UNPACK_TAIL.format(records=json.dumps(records), links=json.dumps(links), placeholder=PLACEHOLDER)
    python = _BESIDE if any(entry.path == "bin/python" for entry in entries) else _OF_THE_HOST
    return (_UNPACK_HEAD.format(python=python) + _relocation_source() + tail).encode()


def _relocation_source() -> str:
    """Return M(relocation) without its comments above and its docstring, which would hide the __future__ import."""
    source = inspect.getsource(relocation)
    body = "".join(source.splitlines(keepends=True)[ast.parse(source).body[0].end_lineno or 0 :])
    return body.replace("import re\n", "import json\nimport os\nimport re\nimport shutil\nimport sys\n", 1)
