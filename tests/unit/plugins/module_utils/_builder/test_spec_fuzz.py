# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of environment.yml against a slow and obvious one, and against anything at all."""

from __future__ import annotations

import io
import typing as t

import yaml
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Spec
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec_file import parse_spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from hypothesis import given, settings, strategies

Known = t.Dict[str, t.Any]

WORDS = strategies.text("abcXY019_.+-é ", min_size=1, max_size=8).map(str.strip).filter(bool)
PACKAGES = strategies.from_regex(r"[a-z][a-z0-9_-]{0,5}( ?[=<>]{1,2}[0-9.]{1,4})?", fullmatch=True)
VALUES = strategies.text("ab 1.:#'\"\n\t-{}é%", max_size=10)
VARIABLES = strategies.dictionaries(strategies.from_regex(r"[A-Z_][A-Z0-9_]{0,4}", fullmatch=True), VALUES, max_size=3)


@strategies.composite
def documents(draw: t.Any) -> Known:
    """What a file says, as Python has it."""
    pip = draw(strategies.lists(PACKAGES, max_size=3))
    return {
        "name": draw(WORDS),
        "channels": draw(strategies.lists(WORDS, max_size=3)),
        "dependencies": [*draw(strategies.lists(PACKAGES, min_size=1, max_size=4)), *([{"pip": pip}] if pip else [])],
        "variables": {name: value for name, value in draw(VARIABLES).items() if name != "PATH"},
    }


STYLES = strategies.fixed_dictionaries(
    {
        "default_flow_style": strategies.sampled_from([None, True, False]),
        "default_style": strategies.sampled_from([None, "'", '"']),
        "indent": strategies.integers(2, 6),
        "width": strategies.sampled_from([10, 80]),
        "allow_unicode": strategies.booleans(),
        "explicit_start": strategies.booleans(),
        "line_break": strategies.sampled_from(["\n", "\r\n"]),
    }
)


@given(documents(), STYLES)
def test_what_was_written_is_read_in_every_style(document: Known, style: Known) -> None:
    written = io.StringIO()
    yaml.safe_dump(document, written, **style)
    found = parse_spec(written.getvalue(), "e.yml", "linux-64")
    conda = [each for each in document["dependencies"] if isinstance(each, str)]
    pip = [line for each in document["dependencies"] if isinstance(each, dict) for line in each["pip"]]
    assert (found.name, list(found.channels)) == (document["name"], document["channels"])
    assert [item.text for item in found.dependencies] == conda
    assert [item.text for item in found.pip] == pip
    # Long texts in quotes are not always written as they were.
    assert dict(found.variables) == yaml.load(written.getvalue(), Loader=yaml.BaseLoader)["variables"]


#: Parts of which files are made: those of a good one, then what may come between.
GOOD = [
    ["name: demo", "name:", "name: 3.10", "name: ~", "name: yes", "name: [a]", "# no name"],
    ["channels:\n  - c", "channels: [c, d]", "channels:", "channels: c", "channels: {}", "channels: [~]"],
    ["dependencies:", "dependencies: [a]", "dependencies: a", "dependencies:\n  - a"],
    ["  - a", "  - b=1", "  - 3.10", "  - '>=1'", "  - >=1", "  -", "  - ~", "  - [a]", "- a", "  # a"],
    ["  - pip:", "  - pip: [x, y]", "  - pip: x", "  - npm: [x]", "  - {}", "  - &a a\n  - *a", "  - !x a", "  - a: b"],
    ["    - x", "    - y==1", "      - z", "  - c", "    - [x]", "    # x", "    -"],
    [
        "variables: {A: 1}",
        "variables:\n  A: yes",
        "variables:",
        "variables: x",
        "variables: {A: ''}",
        "variables: {A: ~}",
        "",
    ],
    ["prefix: /x", "", "other: 1", "name: twice", "---", "", "", "{", "\t- a"],
]
# Half of each are of the first, which are right.
FILES = strategies.tuples(*(strategies.sampled_from(parts[:2]) | strategies.sampled_from(parts) for parts in GOOD)).map(
    "\n".join
)


def plain(text: str) -> Known | None:
    """The same from YAML's own values; None for what is to be refused."""
    try:
        return obvious(text)
    except (yaml.YAMLError, AssertionError):
        return None


def obvious(text: str) -> Known:
    nodes = yaml.compose(text, Loader=yaml.SafeLoader)
    values = yaml.load(text, Loader=yaml.BaseLoader)
    assert isinstance(values, dict) and not has_twins(nodes) and not has_tags(nodes)
    given = {key: value for key, value in values.items() if value not in ("", "~")}
    channels, dependencies, variables = (
        given.get("channels", []),
        given.get("dependencies", []),
        given.get("variables", {}),
    )
    assert isinstance(channels, list) and isinstance(dependencies, list) and isinstance(variables, dict)
    conda = [each for each in dependencies if not isinstance(each, dict)]
    sections = [each for each in dependencies if isinstance(each, dict)]
    assert all(set(section) <= {"pip"} and isinstance(section.get("pip") or [], list) for section in sections)
    pip = [line for section in sections for line in section.get("pip") or []]
    assert conda or pip
    for each in (*channels, *conda, *pip):
        assert isinstance(each, str) and each not in ("", "~")
    assert not any(each.startswith(">") for each in conda)
    assert not any(" - " in f"{each} " for each in (*conda, *pip))
    assert all(isinstance(value, str) and value != "~" for value in variables.values())
    name = values.get("name") or "~"
    assert isinstance(name, str)
    return {"name": None if name == "~" else name, "conda": conda, "pip": pip, "variables": variables}


def has_twins(node: t.Any) -> bool:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _value in node.value]
        return len(keys) != len(set(keys)) or any(has_twins(value) for _key, value in node.value)
    return isinstance(node, yaml.SequenceNode) and any(map(has_twins, node.value))


def has_tags(node: t.Any) -> bool:
    below = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    return node.tag.startswith("!") or (not isinstance(node, yaml.ScalarNode) and any(map(has_tags, below)))


def read(text: str) -> Spec | None:
    try:
        return parse_spec(text, "e.yml", "linux-64")
    except SpecError as error:
        assert str(error).startswith("e.yml") and "\n" not in str(error)
        return None


@settings(max_examples=max(500, settings().max_examples))
@given(FILES)
def test_files_are_taken_or_refused_as_by_the_obvious_reader(text: str) -> None:
    expected, found = plain(text), read(text)
    assert (expected is None) == (found is None), text
    if expected and found:
        assert found.name == expected["name"]
        assert [item.text for item in found.dependencies] == expected["conda"]
        assert [item.text for item in found.pip] == expected["pip"]
        assert dict(found.variables) == expected["variables"]
        lines = text.splitlines()
        assert all(item.text in lines[item.line - 1] for item in (*found.dependencies, *found.pip))


@given(strategies.text() | strategies.text("abc:-[]{}#&*!|>'\"%@`\n\t \\?,", max_size=60))
def test_no_text_at_all_is_more_than_refused(text: str) -> None:
    read(text)
    read(f"dependencies:\n  - a\n  - {text}")
