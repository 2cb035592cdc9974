# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import conda_answer
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

CHANNEL = "http://127.0.0.1:9/x"

# Recorded from conda 26.7.1 with its classic solver, less what is not read.
LINKED = {
    "base_url": "https://mirror.example.com/conda-forge",
    "build_number": 0,
    "build_string": "h2f8bf27_0",
    "channel": "conda-forge",
    "dist_name": "bzip2-1.0.8-h2f8bf27_0",
    "name": "bzip2",
    "platform": "linux-64",
    "version": "1.0.8",
}
FETCHED = {
    "name": "bzip2",
    "version": "1.0.8",
    "build": "h2f8bf27_0",
    "channel": "https://mirror.example.com/conda-forge/linux-64",
    "subdir": "linux-64",
    "fn": "bzip2-1.0.8-h2f8bf27_0.conda",
    "url": "https://ann:pw@mirror.example.com/conda-forge/linux-64/bzip2-1.0.8-h2f8bf27_0.conda",
    "license": "bzip2-1.0.6",
}
# As the sources of mamba 2.8 write it.
OF_MAMBA = {
    "name": "bzip2",
    "version": "1.0.8",
    "channel": "https://mirror.example.com/conda-forge",
    "url": "https://mirror.example.com/conda-forge/linux-64/bzip2-1.0.8-h2f8bf27_0.conda",
    "subdir": "linux-64",
    "build": "h2f8bf27_0",
    "build_string": "h2f8bf27_0",
    "license": "bzip2-1.0.6",
}
BZIP2 = Package("bzip2", "1.0.8", "h2f8bf27_0", "https://mirror.example.com/conda-forge", licence="bzip2-1.0.6")


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ({"FETCH": [FETCHED], "LINK": [LINKED], "PREFIX": "/p"}, BZIP2),
        ({"FETCH": [OF_MAMBA], "LINK": [OF_MAMBA]}, BZIP2),
        ({"LINK": [OF_MAMBA]}, BZIP2),
        # What lies in a cache of the user's is not fetched, and then conda does not tell its licence.
        ({"FETCH": [], "LINK": [LINKED]}, dataclasses.replace(BZIP2, licence="")),
    ],
)
def test_packages(actions: dict[str, t.Any], expected: Package) -> None:
    assert conda_answer.packages_of({"success": True, "actions": actions}) == [expected]
    assert conda_answer.packages_of({"success": True}) == []


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ('{"success": true}', {"success": True}),
        ('warning: {x}\n{"success": true}\nbye\n', {"success": True}),
        ("{not json\n", {}),
        ("", {}),
    ],
)
def test_the_answer_is_found_in_what_is_printed(output: str, answer: dict[str, t.Any]) -> None:
    assert conda_answer.parsed(output) == answer


NOT_FOUND = {
    "channel_urls": [f"{CHANNEL}/linux-64", f"{CHANNEL}/noarch"],
    "error": "PackagesNotFoundInChannelsError: The following packages …",
    "exception_name": "PackagesNotFoundInChannelsError",
    "message": "The following packages are not available from current channels:\n\n  - pandsa\n\nCurrent channels:\n\n"
    f"  - {CHANNEL}/linux-64\n  - {CHANNEL}/noarch\n\nTo search for alternate channels that may provide"
    " the conda package you're\nlooking for, …\n",
    "packages": ["pandsa"],
}
NO_VERSION = {**NOT_FOUND, "message": NOT_FOUND["message"].replace("pandsa", "numpy=3"), "packages": ["numpy=3"]}  # type: ignore[attr-defined]
TOO_NEW = {
    "exception_name": "UnsatisfiableError",
    "message": "The following specifications were found to be incompatible with your system:\n\n"
    "  - feature:/linux-64::__glibc==2.5=0\n  - numpy -> __glibc[version='>=2.17']\n\nYour installed version is: 2.5\n",
}
NO_CHANNEL = {
    "caused_by": "None",
    "exception_name": "UnavailableInvalidChannel",
    "message": f"HTTP 404 UNAVAILABLE OR INVALID for channel x <{CHANNEL}>\n\nThe channel is not accessible or is"
    " invalid.\n\nYou will need to adjust your conda configuration to proceed.\n",
}
NO_NETWORK = {
    "caused_by": "ConnectionError(MaxRetryError('HTTPConnectionPool(host=\\'127.0.0.1\\', port=9): Max retries exceeded"
    " with url: /x/linux-64/repodata.json.zst (Caused by NewConnectionError(\"HTTPConnection(host=\\'127.0.0.1\\',"
    " port=9): Failed to establish a new connection: [Errno 111] Connection refused\"))'))",
    "exception_name": "CondaHTTPError",
    "message": f"HTTP 000 CONNECTION FAILED for url <{CHANNEL}/linux-64/repodata.json>\nElapsed: -\n\nAn HTTP …\n",
}
TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
conda.exceptions.InvalidMatchSpec: Invalid spec 'python==': Invalid version '==': invalid operator
"""
# As the sources of mamba 2.8 say it.
MAMBA_UNSOLVED = {"success": False, "solver_problems": ["nothing provides requested pandsa"]}
MAMBA_NO_NETWORK = f"""critical libmamba Multiple errors occurred:
    Download error (7) Could not connect to server [{CHANNEL}/linux-64/repodata.json]
"""
NAMES = {"pandas", "numpy"}
ADVICE = "Check its address, and the builder's proxy and CA settings"


@pytest.mark.parametrize(
    ("output", "known", "sentence"),
    [
        (NOT_FOUND, NAMES, f"no channel has a package pandsa; did you mean pandas? (channels: {CHANNEL})"),
        (NOT_FOUND, (), f"no channel has a package pandsa (channels: {CHANNEL})"),
        (MAMBA_UNSOLVED, NAMES, f"no channel has a package pandsa; did you mean pandas? (channels: {CHANNEL})"),
        (
            NO_VERSION,
            {*NAMES, "pandsa"},
            "the dependencies cannot be satisfied together: The following packages are not available from current"
            " channels: - numpy=3",
        ),
        (
            TOO_NEW,
            {*NAMES, "pandsa"},
            "the dependencies cannot be satisfied together: The following specifications were found to be incompatible"
            " with your system: - feature:/linux-64::__glibc==2.5=0 - numpy -> __glibc[version='>=2.17'] Your installed"
            " version is: 2.5 (assumed of the hosts, see virtual_packages: __glibc 2.5)",
        ),
        (
            NO_CHANNEL,
            (),
            f"channel {CHANNEL} cannot be read: HTTP 404 UNAVAILABLE OR INVALID for channel x <{CHANNEL}>. {ADVICE}",
        ),
        (
            NO_NETWORK,
            (),
            f"channel {CHANNEL} cannot be read: HTTP 000 CONNECTION FAILED for url <{CHANNEL}/linux-64/repodata.json>;"
            f" Connection refused. {ADVICE}",
        ),
        (
            MAMBA_NO_NETWORK,
            (),
            f"channel {CHANNEL} cannot be read: Download error (7) Could not connect to server"
            f" [{CHANNEL}/linux-64/repodata.json]. {ADVICE}",
        ),
        (
            TRACEBACK,
            (),
            "conda failed (1): conda.exceptions.InvalidMatchSpec: Invalid spec 'python==': Invalid version '==':"
            " invalid operator",
        ),
        ("", (), "conda failed (1): it said nothing"),
    ],
)
def test_failures_are_the_sentences_of_the_embedded_solver(
    output: str | dict[str, t.Any], known: t.Collection[str], sentence: str
) -> None:
    assumed = (VirtualPackage("__glibc", "2.5"),)
    question = Question(("pandsa", "numpy=3"), (), False, (CHANNEL,), "linux-64", "linux-64", assumed)
    text = output if isinstance(output, str) else f"retrying\n{json.dumps(output)}\n"
    assert conda_answer.failure("conda", 1, text, question, known) == sentence
