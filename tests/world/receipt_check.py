# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asked on a host with nothing but its own Python: of which generation is each tree, file by file?

Prints one JSON object; run with the directory of environments and the name of one. It shares no code with what it
checks, and reads every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from typing import Any, Dict, List, Set

Seen = Dict[str, List[Any]]


def sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def seen(root: str) -> Seen:
    """What is below *root*, as receipts have it."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            full = os.path.join(directory, name)
            status = os.lstat(full)
            kind, digest, size, target = "other", "", 0, ""
            if stat.S_ISLNK(status.st_mode):
                kind, target = "link", os.readlink(full)
            elif stat.S_ISDIR(status.st_mode):
                kind = "dir"
            elif stat.S_ISREG(status.st_mode):
                kind, digest, size = "file", sha256(full), status.st_size
            mode = 0o777 if kind == "link" else stat.S_IMODE(status.st_mode)
            path = os.path.relpath(full, root)
            found[path] = [path, kind, digest, size, mode, status.st_uid, status.st_gid, target]
    return found


def differences(tree: Seen, receipt: List[List[Any]], registered: Set[str]) -> List[str]:
    """Paths that are not as the receipt has them."""
    wanted = {row[0]: row for row in receipt}
    wrong = [path for path, row in wanted.items() if path in tree and tree[path] != row[:8]]
    wrong += [path for path, row in wanted.items() if path not in tree and not row[8]]
    wrong += [path for path in tree if path not in wanted and path not in registered and "__pycache__" not in path]
    return sorted(wrong)


def main() -> None:
    envs, name = sys.argv[1:]
    prefix, store = os.path.join(envs, name), os.path.join(envs, ".airgap", name)
    receipts = {}
    for generation in os.listdir(os.path.join(store, "receipts")):
        if not generation.endswith(".new"):
            with open(os.path.join(store, "receipts", generation), "rb") as file:
                receipts[generation] = [json.loads(line) for line in file][1:]
    registered = set()
    try:
        with open(os.path.join(store, "registration.json")) as file:
            marks = json.load(file)["marks"]
        registered = {os.path.relpath(mark[1], prefix) for mark in marks}
    except FileNotFoundError:
        pass
    generations = os.path.join(store, "generations")
    places = {"live": prefix, **{each: os.path.join(generations, each) for each in os.listdir(generations)}}
    told = {}
    for place, root in places.items():
        if os.path.isdir(root):
            tree = seen(root)
            found = {each: differences(tree, rows, registered) for each, rows in receipts.items()}
            told[place] = sorted(each for each, wrong in found.items() if not wrong)
            if place == "live" and not told[place]:
                told["wrong"] = min(found.values(), key=len, default=[])[:5]
    left = sorted(os.listdir(os.path.join(store, "incoming")))
    left += [each for each in ("staging", "generations/aside") if os.path.lexists(os.path.join(store, each))]
    for directory, _names, files in os.walk(store):
        if not directory.startswith(generations):
            left += [each for each in files if each.endswith(".new")]
    print(json.dumps({"trees": told, "left": left}))


if __name__ == "__main__":
    main()
