#!/usr/bin/python

# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bundle_delta
short_description: Make what one bundle holds that another lacks, and the bundle of it again
version_added: 0.1.0
author:
  - Contributors to the airgap.conda project (@airgap-conda)
description:
  - From an older and a newer bundle, makes a delta, a directory that holds the newer one's manifest and file list and
    only those contents that the older one lacks. They are compared by digest, so what was renamed or moved is not held
    again.
  - From the older bundle and a delta, makes the newer bundle, with the same manifest and the same tar, byte for byte.
    Where another release of zstd compresses it to other bytes, only what the manifest says of that differs.
  - Both are verified before anything is written, and nothing half-made is left.
  - To hosts, M(airgap.conda.env_deploy) sends deltas by itself; this module is for what crosses the gap.
extends_documentation_fragment:
  - airgap.conda._attributes
  - airgap.conda._attributes.action
  - airgap.conda._attributes.actiongroup_conda
  - airgap.conda._options.progress
  - airgap.conda._options.paths
options:
  older:
    description:
      - Directory of the older bundle.
      - With O(delta), the default is the one in O(dist) for which the delta was made.
    type: path
  newer:
    description:
      - Directory of the newer bundle, to make a delta.
    type: path
  delta:
    description:
      - Directory of a delta, to make the newer bundle of it.
    type: path
  dist:
    description:
      - Directory in which the result lies, named by what it is.
    type: path
    default: dist
requirements:
  - zstandard
seealso:
  - module: airgap.conda.bundle
    description: Makes bundles.
  - module: airgap.conda.env_deploy
    description: Makes them live.
"""

EXAMPLES = r"""
- name: On the builder, hold only what changed
  airgap.conda.bundle_delta:
    older: dist/my_env-linux-64-0123456789ab
    newer: dist/my_env-linux-64
    dist: outgoing
  register: made

- name: Behind the gap, make the newer bundle of the older one and what came
  airgap.conda.bundle_delta:
    delta: "{{ made.delta }}"
    dist: dist
"""

RETURN = r"""
delta:
  description: Directory of the delta.
  returned: success
  type: str
  sample: /home/me/outgoing/my_env-linux-64-ba9876543210.from-0123456789ab
bundle:
  description: Directory of the newer bundle.
  returned: success
  type: str
  sample: /home/me/dist/my_env-linux-64-ba9876543210
content_id:
  description: Of the newer bundle.
  returned: success
  type: str
older:
  description: Content id of the older bundle.
  returned: success
  type: str
size:
  description: Bytes of the delta's archive, once there is one.
  returned: success
  type: int
identical:
  description: Whether the archive of the newer bundle is, compressed too, byte for byte the builder's.
  returned: success
  type: bool
actions:
  description: What was done, or in check mode would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["make /home/me/outgoing/my_env-linux-64-ba9876543210.from-0123456789ab"]
"""

import functools
import glob
import os
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.airgap.conda.plugins.module_utils._builder.deltas import (
    apply_delta,
    delta_directory,
    is_made,
    make_delta,
    read_delta,
    read_older,
    read_side,
    target_of,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.answering import answer
from ansible_collections.airgap.conda.plugins.module_utils._host.bundle_directory import find_bundle, read_manifest
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress

Fields = t.Dict[str, t.Any]


def run(module: AnsibleModule) -> Fields:
    """Make a delta of two bundles, or a bundle of one and a delta."""
    older, newer, delta, dist = (module.params[name] for name in ("older", "newer", "delta", "dist"))
    older = find_bundle(older) if older else ""
    with Progress(module.params["progress_file"]) as progress:
        if newer:
            return make(older, find_bundle(newer), dist, module.check_mode, progress)
        return apply(older, delta, dist, module.check_mode, progress)


def make(older: str, newer: str, dist: str, check_mode: bool, progress: Progress) -> Fields:
    """Make the delta between two bundles, unless it is there."""
    before, after = read_manifest(older), read_manifest(newer)
    directory = delta_directory(dist, before, after)
    changed = not is_made(directory, before, after)
    if changed and not check_mode:
        progress.say(f"making the delta from {before.content_id[:12]} to {after.content_id[:12]}")
        make_delta(read_side(older), read_side(newer), dist)
    size = 0 if changed and check_mode else read_delta(directory).encoding.piece.size
    return {
        "changed": changed,
        "actions": [f"make {directory}"] if changed else [],
        "delta": directory,
        "bundle": newer,
        "content_id": after.content_id,
        "older": before.content_id,
        "size": size,
        "identical": True,
    }


def apply(older: str, delta_dir: str, dist: str, check_mode: bool, progress: Progress) -> Fields:
    """Make the newer bundle of a delta, unless it is there."""
    delta, manifest = read_delta(delta_dir), read_manifest(delta_dir)
    directory = os.path.join(dist, manifest.label)
    changed, identical = target_of(delta_dir, dist) is not None, True
    if changed:
        older = older or read_older(delta_dir, sorted(glob.glob(os.path.join(glob.escape(dist), "*"))))
    if changed and not check_mode:
        progress.say(f"making {manifest.label} of {os.path.basename(older)} and the delta")
        identical = apply_delta(read_side(older), delta_dir, dist).identical
    elif not changed:
        identical = read_manifest(directory) == manifest
    return {
        "changed": changed,
        "actions": [f"make {directory}"] if changed else [],
        "delta": delta_dir,
        "bundle": directory,
        "content_id": manifest.content_id,
        "older": delta.older,
        "size": delta.encoding.piece.size,
        "identical": identical,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "older": {"type": "path"},
            "newer": {"type": "path"},
            "delta": {"type": "path"},
            "dist": {"type": "path", "default": "dist"},
            "progress_file": {"type": "path"},
        },
        required_one_of=[("newer", "delta")],
        mutually_exclusive=[("newer", "delta")],
        required_by={"newer": ("older",)},
        supports_check_mode=True,
    )
    try:
        __import__("zstandard")
    except ImportError:
        module.fail_json(msg=missing_required_lib("zstandard"), exception=traceback.format_exc())
    answer(
        module,
        functools.partial(run, module),
        "{where}: {reason}; nothing half-made is left, run again",
        module.params["dist"],
    )


if __name__ == "__main__":
    main()
