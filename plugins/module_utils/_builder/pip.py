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
import json
import os
import re
import subprocess
import tempfile
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_meta
from ansible_collections.airgap.conda.plugins.module_utils._builder.pip_failure import failure
from ansible_collections.airgap.conda.plugins.module_utils._builder.pip_logins import Logins
from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import (
    RequirementFile,
    requirements,
    write_files,
)
from ansible_collections.airgap.conda.plugins.module_utils._host.progress import Progress
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials, mask

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
    prefix: str,
    files: t.Sequence[RequirementFile],
    options: t.Sequence[str],
    directory: str,
    progress: Progress,
) -> None:
    """Install what *files* require at *prefix*; relative paths in them start at *directory*."""
    variables = environment(os.environ, prefix)
    logins = Logins(os.environ, quotes=_minor_version(prefix) >= 11)
    variables.update(logins.settings(_settings(prefix, variables)))
    with tempfile.TemporaryDirectory(prefix="airgap-conda-") as passing:
        first = write_files(files, passing, logins.taken_out)
        given = [_without_login(logins.taken_out(option)) for option in options]
        _write_private(os.path.join(passing, "netrc"), logins.netrc())
        variables.update(logins.variables(), NETRC=os.path.join(passing, "netrc"))
        progress.say(f"pip: installing {len(requirements(files))} requirements")
        try:
            _run(arguments(prefix, first, given), variables, directory, progress)
        except BuildError as error:
            raise BuildError(_in_the_users_words(str(error), files, passing)) from None
    _refuse_replaced(prefix)
    _refuse_editable(prefix)


def arguments(prefix: str, first: str, options: t.Sequence[str]) -> list[str]:
    """Return the command that installs the requirement file *first*; the user's *options* come last, so they win."""
    command = [*_pip(prefix), "install", "--no-compile"]
    quiet = ["--no-input", "--progress-bar=off", "--no-warn-script-location"]
    return [*command, *quiet, "--requirement", first, *options]


def _without_login(option: str) -> str:
    """Return *option* if everybody may read it."""
    if credentials(option):
        raise BuildError(
            f"pip_args: {mask(option)} has a second login for one host, which would be on a command line for everybody "
            "to read; put it into the pip section, or into pip's configuration"
        )
    return option


def _minor_version(prefix: str) -> int:
    """Return 11 for an environment of Python 3.11."""
    names = glob.glob(os.path.join(glob.escape(prefix), "lib", "python3.*"))
    return max((int(found[1]) for name in names if (found := re.search(r"\.(\d+)$", name))), default=0)


def _pip(prefix: str) -> list[str]:
    return [os.path.join(prefix, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]


def _settings(prefix: str, variables: t.Mapping[str, str]) -> str:
    """Return pip's settings as it lists them; an old pip that cannot has none that we could replace."""
    command = [*_pip(prefix), "config", "list"]
    try:
        # There is no AnsibleModule down here.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, env=variables, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise BuildError(f"the environment's Python does not start: {error}") from error
    return "" if done.returncode else done.stdout


def _write_private(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _in_the_users_words(message: str, files: t.Sequence[RequirementFile], directory: str) -> str:
    """Name the user's files where pip names our copies of them, whose lines have the same numbers."""
    for number, file in enumerate(files):
        message = message.replace(os.path.join(directory, f"{number}.txt"), file.path)
    return message


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


def predicted(lines: t.Iterable[str]) -> list[Package]:
    """Return what can be told of requirements without pip: their names, and versions that are pinned."""
    found = (_REQUIREMENT.match(line) for line in lines)
    return [Package(_canonical(match[1]), match[2] or "to be resolved", manager=PIP) for match in found if match]


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
        raise BuildError(failure(process.returncode, list(lines)))


def _refuse_replaced(prefix: str) -> None:
    """Raise where pip took away a conda package to put another version there: neither could travel whole."""
    lost = [data["name"] for _path, data in conda_meta.read_records(prefix) if _is_replaced(prefix, data["files"])]
    if lost:
        raise BuildError(
            f"pip replaced {', '.join(lost)} of conda; "
            "give versions under `pip:` that fit, or leave the package to one of the two"
        )


def _refuse_editable(prefix: str) -> None:
    """Raise where pip left a mere reference to a source tree, as a file that it fetched may have told it."""
    found = [path for path in metadata_files(prefix) if _is_editable(os.path.dirname(path))]
    if found:
        raise BuildError(
            f"pip installed {', '.join(_package(path).name for path in found)} as editable, which cannot travel; "
            "name the package, or a wheel of it"
        )


def _is_editable(metadata: str) -> bool:
    try:
        with open(os.path.join(metadata, "direct_url.json"), encoding="utf-8") as file:
            return bool(json.load(file).get("dir_info", {}).get("editable"))
    except FileNotFoundError:
        return False


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
