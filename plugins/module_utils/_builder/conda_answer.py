# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""What an executable that speaks conda's command line answers: packages, or one sentence on why there are none."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.explanations import (
    unknown_packages,
    unreachable,
    unsatisfiable,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.solution import Question, conda_package
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import package_name
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

Answer = t.Mapping[str, t.Any]

#: Names of conda's errors, and what mamba says of its own.
_UNSOLVED = re.compile(r"PackagesNotFound|ResolvePackageNotFound|Unsatisfiable|Could not solve")
_UNREAD = re.compile(
    r"HTTP|SSL|Proxy|UnavailableInvalidChannel|ChannelError|Offline|[Dd]ownload|Could not resolve host"
)
#: What system or library said, deep in the text of an error that wraps others.
_CAUSES = (r"\[Errno -?\d+\] ([^'\")\]]+)", r"certificate verify failed: ([^(']+)", r"(\d{3} [A-Z][a-z]+ [A-Za-z ]+)")


def parsed(output: str) -> Answer:
    """Return the JSON object in *output*, among whatever else was printed; empty where there is none."""
    for start in re.finditer(r"^\{", output, re.MULTILINE):
        try:
            answer = json.JSONDecoder().raw_decode(output, start.start())[0]
        except json.JSONDecodeError:
            continue
        if isinstance(answer, dict):
            return answer
    return {}


def packages_of(answer: Answer) -> list[Package]:
    """Return what is linked, or would be, sorted by name."""
    actions = answer.get("actions") or {}
    fetched = {_distribution(record): record for record in actions.get("FETCH") or ()}
    linked = ({**fetched.get(_distribution(record), {}), **record} for record in actions.get("LINK") or ())
    return sorted(conda_package(_record(record)) for record in linked)


def _distribution(record: Answer) -> tuple[str, str, str]:
    return str(record["name"]), str(record["version"]), _build(record)


def _build(record: Answer) -> str:
    return str(record.get("build_string") or record.get("build") or "")


def _record(record: Answer) -> dict[str, t.Any]:
    """Return as a record of repodata what the programs say of a package, each in its own way."""
    url = str(record.get("url") or "")
    channel = url.rsplit("/", 2)[0] if url.count("/") > 2 else record.get("base_url") or record.get("channel")
    return {**record, "build": _build(record), "channel": channel}


class _Said(t.NamedTuple):
    #: conda's name of the error; empty for what others say.
    name: str
    text: str
    #: What lies behind it, deep in which the system speaks.
    cause: str
    #: Packages that are not there.
    missing: frozenset[str]
    unsolved: bool


def _said(answer: Answer, output: str) -> _Said:
    problems = answer.get("solver_problems")
    text = "\n".join(problems) if problems else str(answer.get("message") or answer.get("error") or output).strip()
    name = str(answer.get("exception_name") or "")
    missing = frozenset(map(str, answer.get("packages") or ()))
    unsolved = bool(problems or _UNSOLVED.search(name or text))
    return _Said(name, text, str(answer.get("caused_by") or text), missing, unsolved)


def failure(kind: str, code: int, output: str, question: Question, known: t.Collection[str]) -> str:
    """Return one sentence for a run that ended with *code*; *known* are all names of channels, if known."""
    said = _said(parsed(output), output)
    if said.unsolved:
        sentence = unknown_packages(_asked(question, said.missing, known), known, question.channels)
        return sentence or unsatisfiable(_without_advice(said.text), question.virtual_packages)
    if _UNREAD.search(said.name or said.text):
        return unreachable("\n".join([_first(said.text), *_causes(said.cause)]), question.channels)
    return mask(f"{kind} failed ({code}): {' '.join(_last(said.text).split()) or 'it said nothing'}")


def _asked(question: Question, missing: t.Collection[str], known: t.Collection[str]) -> list[str]:
    """Return the dependencies that may be unknown: all, or without *known* names those that are nothing but a name."""
    if known:
        return list(question.dependencies)
    return [asked for asked in question.dependencies if asked in missing and package_name(asked) == asked]


def _without_advice(text: str) -> str:
    """Leave out what conda says of channels, which is said otherwise here, and of its documentation."""
    return re.split(r"\n\s*\n(?:Current channels|The following specifications conflict|Note that)", text)[0]


def _first(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if _UNREAD.search(line)), lines[0] if lines else "it said nothing")


def _last(text: str) -> str:
    """Return what counts of text that is no answer: the last lines, and of a traceback the last."""
    lines = [line for line in text.splitlines() if line.strip()]
    return " ".join(lines[-1:] if any(line.startswith("Traceback") for line in lines) else lines[-5:])


def _causes(text: str) -> list[str]:
    found = (re.findall(pattern, text) for pattern in _CAUSES)
    return next(([causes[-1].strip()] for causes in found if causes), [])
