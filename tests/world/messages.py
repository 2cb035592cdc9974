# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages that users may meet, read from the code: with … for each part that is only known when it happens."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "plugins"

#: The exception family, and what else takes a message.
RAISED = ("SpecError", "BuildError", "BundleError", "PackError", "RelocationError", "DeployError")
TAKING = (*RAISED, "_fail", "_warn", "fail_json", "answer")
#: Functions that return or yield messages, which others raise.
SPEAKING = {
    "_model/preflight.py": ("shortage", "_fitness", "_bytes", "_inodes", "_rights", "_length", "_spelling"),
    "_host/registering.py": ("findings",),
    "_host/looking.py": ("look", "_findings"),
    "_host/host.py": ("_contested",),
    "_host/mounted.py": ("findings",),
    "_host/fetching.py": ("findings",),
    "_builder/explanations.py": ("elsewhere", "unknown_packages", "_unknown", "unsatisfiable", "unreachable"),
    "_builder/conda_answer.py": ("failure",),
    "_builder/condarc.py": ("refused",),
    "_builder/environment_yml.py": ("_syntax",),
    "_builder/disks.py": ("_no_room",),
    "_builder/pip_failure.py": ("failure",),
    "_builder/request.py": ("<module>",),
}
#: What is raised of these, or of a join of findings.
PASSED_ON = (
    "self._syntax",
    "failure",
    "await _explanation",
    "_in_the_users_words",
    "unreachable",
    "message",
    "short",
    "awaited['short']",
    "shortage",
    "'; '.join",
    "str(error)",
)
#: With fewer letters that always stand there, it is a piece of a message and none by itself.
LEAST = 8
#: Found in the places above, but no messages.
PIECES = (
    "surrogateescape",
    "it said nothing",
    " (the index cannot be reached: …)",
    "; did you mean …?",
    "Caused by: ",
    "a channel (…)",
    "… (channels: …)",
    "problem_mark",
    "Content-Length",
    "it does not answer as a server of files does",
    "position",
    "another document",
    "the PATH of an activated environment",
    "this host",
    "the builder",
)


def template(node: ast.AST) -> str:
    """A string of the code with … for what it takes in; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # Of one that is filled in later.
        return re.sub(r"\{\w+\}", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        parts = ("…" if isinstance(part, ast.FormattedValue) else template(part) for part in node.values)
        return re.sub("…+", "…", "".join(parts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "mask":
        return template(node.args[0])
    return ""


def messages() -> dict[str, str]:
    """By message, the file that says it."""
    found: dict[str, str] = {}
    for path in sorted(PLUGINS.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for text in (*_taken(tree, path), *_spoken(tree, path)):
            if len(re.sub("[^A-Za-z]", "", text)) >= LEAST and text not in PIECES:
                found[text] = path.name
    return found


def _taken(tree: ast.AST, path: Path) -> Iterator[str]:
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or _name(call.func) not in TAKING:
            continue
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "msg")]
        texts = list(filter(None, map(template, given)))
        yield from texts
        source = " ".join(map(ast.unparse, given))
        if not texts and _name(call.func) in RAISED and not source.startswith(("mask", *PASSED_ON)):
            raise AssertionError(
                f"{path.name}:{call.lineno}: a message that is not written where it is raised: {source}"
            )


def _spoken(tree: ast.Module, path: Path) -> Iterator[str]:
    for name in next((names for part, names in SPEAKING.items() if str(path).endswith(part)), ()):
        if name == "<module>":
            yield from (template(node.value) for node in tree.body if isinstance(node, ast.Assign))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                yield from _sentences(node)


def _sentences(function: ast.FunctionDef) -> Iterator[str]:
    docstring = function.body[0]
    for statement in function.body[isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant) :]:
        inner = {part for node in ast.walk(statement) if isinstance(node, ast.JoinedStr) for part in node.values}
        yield from (template(node) for node in ast.walk(statement) if node not in inner)


def _name(function: ast.AST) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
