# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The spec's pip section, installed by the environment's own pip with the user's index, proxy and CA settings."""

from __future__ import annotations

import collections
import email.message
import email.parser
import glob
import os
import re
import subprocess
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_meta
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: Settings that would send files elsewhere, or refuse, or run another Python.
_MISLEADING = {
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_SRC", "PIP_PYTHON", "PIP_EDITABLE"),
    *("PIP_DRY_RUN", "PIP_REPORT", "PIP_REQUIREMENT"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX"),
    *("PYTHONSAFEPATH", "PYTHONOPTIMIZE", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"),
}
#: A name, perhaps extras, perhaps the one version it may have.
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*(?:==\s*([^\s;,*]+)(?=\s*(?:;|$)))?")
#: Lines of pip's that say how far it is.
_TELLING = ("Collecting ", "Downloading ", "Building ", "Installing ", "Successfully ")


def install(
    prefix: str, requirements: t.Sequence[str], options: t.Sequence[str], directory: str, progress: Progress
) -> None:
    """Install *requirements* at *prefix*; relative paths in them start at *directory*."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{requirement}\n" for requirement in requirements))
        file.flush()
        progress.say(f"pip: installing {len(requirements)} requirements")
        _run(arguments(prefix, file.name, options), environment(os.environ, prefix), directory, progress)
    _refuse_replaced(prefix)


def arguments(prefix: str, requirements: str, options: t.Sequence[str]) -> list[str]:
    """Return the command that installs the file *requirements*; the user's *options* come last, so they win."""
    command = [os.path.join(prefix, "bin", "python"), "-m", "pip", "install", "--no-compile"]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--no-warn-script-location"]
    return [*command, *quiet, "--requirement", requirements, *options]


def environment(inherited: t.Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return pip's environment: the user's, less what would lead it away from *prefix*."""
    kept = {name: value for name, value in inherited.items() if name not in _MISLEADING}
    kept.update(
        # Also set in pip's configuration file; only these win over that.
        PIP_USER="0",
        PIP_REQUIRE_VIRTUALENV="0",
        PYTHONNOUSERSITE="1",
        PYTHONDONTWRITEBYTECODE="1",
        CONDA_PREFIX=prefix,
        PATH=os.pathsep.join([os.path.join(prefix, "bin"), inherited.get("PATH", os.defpath)]),
    )
    return kept


def packages(prefix: str, managed: t.Container[str]) -> list[Package]:
    """Return what pip installed at *prefix*, by name; *managed* are the files (relative) that conda installed."""
    found = (_package(path) for path in metadata_files(prefix) if os.path.relpath(path, prefix) not in managed)
    return sorted(found)


def metadata_files(prefix: str) -> list[str]:
    """Return the paths of the METADATA of every Python distribution at *prefix*, in order."""
    pattern = os.path.join(glob.escape(prefix), "lib", "python3*", "site-packages", "*.dist-info", "METADATA")
    # Some Pythons link lib/python3.1 to lib/python3.11.
    return sorted(path for path in glob.glob(pattern) if not os.path.islink(path.rsplit(os.sep, 3)[0]))


def predicted(requirements: t.Iterable[str]) -> list[Package]:
    """Return what can be told of *requirements* without pip: their names, and versions that are pinned."""
    found = (_REQUIREMENT.match(line) for line in requirements)
    return [Package(_canonical(match[1]), match[2] or "to be resolved", manager=PIP) for match in found if match]


def failure(code: int, lines: t.Sequence[str]) -> str:
    """Return one line for what pip printed before it ended with *code*."""
    errors = [line for line in lines if line.lower().startswith("error")]
    said = " ".join(" ".join(errors[-3:] or list(lines)[-5:]).split())
    return mask(f"pip failed ({code}): {said or 'it said nothing'}")


def _run(command: list[str], variables: dict[str, str], directory: str, progress: Progress) -> None:
    lines: collections.deque[str] = collections.deque(maxlen=200)
    try:
        # Its lines are progress, which run_command tells only at the end.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            command,
            cwd=directory,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise BuildError(f"the environment's Python does not start: {error}") from error
    with process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.strip().startswith(_TELLING):
                progress.say(mask(f"pip: {line.strip()}"))
    if process.returncode:
        raise BuildError(failure(process.returncode, lines))


def _refuse_replaced(prefix: str) -> None:
    """Raise where pip took away a conda package to put another version there: neither could travel whole."""
    lost = [data["name"] for _path, data in conda_meta.read_records(prefix) if _is_replaced(prefix, data["files"])]
    if lost:
        raise BuildError(
            f"pip replaced {', '.join(lost)} of conda; "
            "give versions under `pip:` that fit, or leave the package to one of the two"
        )


def _is_replaced(prefix: str, files: t.Iterable[str]) -> bool:
    metadata = (path for path in files if path.endswith(".dist-info/METADATA"))
    return any(not os.path.exists(os.path.join(prefix, path)) for path in metadata)


def _package(path: str) -> Package:
    with open(path, encoding="utf-8", errors="replace") as file:
        headers = email.parser.HeaderParser().parse(file)
    return Package(_canonical(str(headers["Name"])), str(headers["Version"]), manager=PIP, licence=_licence(headers))


def _licence(headers: email.message.Message) -> str:
    """Return in one line what a distribution says; the text of a whole licence says less than classifiers."""
    stated = str(headers.get("License-Expression") or headers.get("License") or "").strip()
    if stated and "\n" not in stated and stated.lower() != "unknown":
        return stated
    classifiers = map(str, headers.get_all("Classifier", []))
    named = [each.rpartition("::")[2].strip() for each in classifiers if each.startswith("License ::")]
    return ", ".join(name for name in named if name != "OSI Approved") or stated.partition("\n")[0]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
