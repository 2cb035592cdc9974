# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of real environments, built once for all suites; nothing of their building is left.

    python -m world.bundles DIR

makes DIR with a link to each: example, earlier, tools.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from world import cache, channel
from world.ansible import play
from world.process import WorldError

#: The environment of the README.
EXAMPLE = """\
name: my_env
channels: [conda-forge]
dependencies:
  - python=3.11
  - numpy=1.23.5
  - pandas=1.5.3
  - pip
  - pip:
      - attrs==23.1.0
      - requests==2.31.0
"""

#: What it was before: one conda and one pip package are older.
EARLIER = EXAMPLE.replace("pandas=1.5.3", "pandas=1.5.2").replace("attrs==23.1.0", "attrs==22.2.0")

#: Another, small one.
TOOLS = """\
name: tools
channels: [conda-forge]
dependencies:
  - python=3.11
  - six
  - pip
variables:
  TOOLS_SAY: "it's $HOME"
"""

#: Two of the same name with Python, of which one package differs.
LIGHT = """\
name: light
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
      - attrs==23.1.0
"""
LIGHT_EARLIER = LIGHT.replace("23.1.0", "22.2.0")

#: Two of the same name that are quick to deploy: no Python is in them.
SMALL = """\
name: small
channels: [conda-forge]
dependencies:
  - ncurses
  - libffi
"""
SMALL_EARLIER = SMALL.replace("libffi", "bzip2")

#: One that Jupyter can start.
NOTEBOOKS = """\
name: notebooks
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
      - ipykernel==6.29.5
variables:
  NOTEBOOKS_SAY: costs $5
"""

_NAMED = {"example": EXAMPLE, "earlier": EARLIER, "tools": TOOLS}
_COLLECTION = Path(__file__).parents[2]


def ensure(spec: str) -> Path:
    """Return the directory of the bundle of *spec*, by its label."""
    inputs = {"spec": spec, "channel": channel.ensure(), "builder": _digest_of_builder()}
    entry = cache.entry("bundles", inputs, lambda directory: _build(spec, directory))
    manifest = json.loads(next(entry.glob("*/manifest.json")).read_text())
    return entry / f"{manifest['name']}-{manifest['needs']['platform']}-{manifest['content_id'][:12]}"


def for_platform(platform: str, bundle: Path, copy: Path) -> None:
    """Make a copy of a bundle that says it is for that platform."""
    shutil.copytree(bundle, copy)
    edit(copy, lambda manifest: manifest["needs"].update(platform=platform))


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle by hand; without a digest, as it is no longer what the builder wrote."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest.pop("digest", None)
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _build(spec: str, directory: Path) -> None:
    home = directory / "builder"
    home.mkdir()
    (home / "environment.yml").write_text(spec)
    variables = json.dumps({"env_build_channels": [channel.ensure()], "env_build_dist": str(directory)})
    done = play("airgap.conda.build", "-e", "env_build_spec=environment.yml", "-e", variables, cwd=home, home=home)
    if done.rc:
        raise WorldError(f"the bundle of the tests cannot be built:\n{done.output}")
    # What is deployed must not find anything of the builder.
    shutil.rmtree(home)


def _digest_of_builder() -> str:
    """Return what changes with the code that makes bundles."""
    digest = hashlib.sha256()
    for part in ("plugins/module_utils/_builder", "plugins/module_utils/_model"):
        for path in sorted((_COLLECTION / part).glob("*.py")):
            digest.update(os.fsencode(path.name) + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, spec in _NAMED.items():
        link = directory / name
        link.unlink(missing_ok=True)
        link.symlink_to(ensure(spec))


if __name__ == "__main__":
    try:
        main()
    except WorldError as error:
        sys.exit(f"world: {error}")
