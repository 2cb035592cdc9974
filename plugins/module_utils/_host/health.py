# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Health: what must work in an environment, before it becomes live where that can be asked."""

from __future__ import annotations

import os
import subprocess
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._host.view import in_view
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import DeployError
from ansible_collections.airgap.conda.plugins.module_utils._model.orders import Health

#: Lines of output that a failure quotes.
_QUOTED = 5


def check_health(prefix: str, health: Health) -> None:
    """Run the checks of *health* at *prefix*; C(DeployError) with the output of the first that fails.

    Without checks of the user's, its Python must start. Checks leave no bytecode behind.
    """
    for command in commands(prefix, health):
        _run(command, prefix, health.timeout)


def check_before(tree: str, prefix: str, health: Health) -> bool:
    """Run the checks where *tree* is at *prefix*, though it is not live; False where this host cannot do that."""
    return in_view(tree, prefix, lambda: check_health(prefix, health))


def commands(prefix: str, health: Health) -> list[list[str]]:
    """Return the command lines that *health* means."""
    python = os.path.join(prefix, "bin", "python")
    checks = [["/bin/sh", "-c", command] for command in health.commands]
    if health.imports:
        checks.insert(0, [python, "-c", "import " + ", ".join(health.imports)])
    if not checks and os.path.exists(python):
        checks = [[python, "-c", ""]]
    return checks


def _environment(prefix: str) -> dict[str, str]:
    kept: dict[str, str] = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    path = os.pathsep.join((os.path.join(prefix, "bin"), kept.get("PATH", "/usr/bin:/bin")))
    return {**kept, "PATH": path, "CONDA_PREFIX": prefix, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}


def _run(command: t.Sequence[str], prefix: str, timeout: float) -> None:
    shown = " ".join(command[2:] if command[0] == "/bin/sh" else command)
    try:
        # Run_command has no timeout.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            env=_environment(prefix),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"health: `{shown}` did not end within {timeout:g} s") from None
    except OSError as error:
        raise DeployError(f"health: `{shown}` cannot be run: {error.strerror}") from None
    if done.returncode:
        last = " | ".join(done.stdout.decode("utf-8", "replace").strip().splitlines()[-_QUOTED:])
        raise DeployError(f"health: `{shown}` ended with {done.returncode}: {last}")
