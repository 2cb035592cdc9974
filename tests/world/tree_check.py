# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asked on a host with nothing but its own Python: does the tree at a prefix keep what conda, pip and we promise?

Prints one JSON object with what does not hold; run with the prefix as argument.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from typing import Any, Iterator

PLACEHOLDER = re.compile(
    rb"/[!-~]{0,254}_placehold(er)?(_[a-z]*)*(?=/)|airgap_conda_prefix_placeholder|/airgap-conda/build/"
)
#: What is in all of these, and quick to look for.
MARKS = (b"_placehold", b"/airgap-conda/build/")


def sha256(path: str) -> Any:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest


def files(prefix: str) -> Iterator[str]:
    for directory, _names, names in os.walk(prefix):
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                yield path


def placeholders(prefix: str) -> Iterator[str]:
    """Files that still name a placeholder or a builder's prefix; conda's own records quote those of the packages."""
    for path in files(prefix):
        if os.path.dirname(path) != os.path.join(prefix, "conda-meta"):
            with open(path, "rb") as file:
                data = file.read()
            if any(mark in data for mark in MARKS) and PLACEHOLDER.search(data):
                yield path


def untrue_conda_meta(prefix: str) -> Iterator[str]:
    """Paths that conda doctor would call missing or altered."""
    meta = os.path.join(prefix, "conda-meta")
    for name in os.listdir(meta):
        if name.endswith(".json"):
            with open(os.path.join(meta, name)) as file:
                record = json.load(file)
            for path in record["paths_data"]["paths"]:
                full = os.path.join(prefix, path["_path"])
                if not os.path.lexists(full):
                    yield "missing: " + full
                elif "sha256_in_prefix" in path and sha256(full).hexdigest() != path["sha256_in_prefix"]:
                    yield "altered: " + full
            for path in record["files"]:
                if not os.path.lexists(os.path.join(prefix, path)):
                    yield "missing: " + path


def untrue_records(prefix: str) -> Iterator[str]:
    """Files that are not what the RECORD of their wheel says, pip's packages only."""
    for path in files(prefix):
        if path.endswith(".dist-info/RECORD") and os.path.exists(os.path.join(os.path.dirname(path), "REQUESTED")):
            site = os.path.dirname(os.path.dirname(path))
            with open(path, newline="") as file:
                rows = list(csv.reader(file))
            for name, digest, _size in rows:
                full = os.path.join(site, name)
                if digest:
                    found = base64.urlsafe_b64encode(sha256(full).digest()).rstrip(b"=").decode()
                    if digest != "sha256=" + found:
                        yield full


def stale_bytecode(prefix: str) -> Iterator[str]:
    """Bytecode that a start without write permission would compile again."""
    for path in files(prefix):
        directory, name = os.path.split(path)
        source = os.path.join(os.path.dirname(directory), name.split(".")[0] + ".py")
        if name.endswith(".pyc") and os.path.exists(source):
            with open(path, "rb") as file:
                head = file.read(16)
            status = os.stat(source)
            stated = (int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little"))
            if head[4:8] == bytes(4) and stated != (int(status.st_mtime), status.st_size):
                yield path


def pip_check(prefix: str) -> Iterator[str]:
    pip = os.path.join(prefix, "bin", "pip")
    if os.path.exists(pip):
        # By its own path, without activation.
        done = subprocess.run([pip, "check"], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            yield done.stdout.decode()


def main() -> None:
    checks = (placeholders, untrue_conda_meta, untrue_records, stale_bytecode, pip_check)
    print(json.dumps({check.__name__: sorted(check(sys.argv[1])) for check in checks}))


if __name__ == "__main__":
    main()
