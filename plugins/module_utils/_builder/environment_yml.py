# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Reads C(environment.yml): YAML nodes, which know their lines, instead of values, which do not."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._builder.artifacts import artifact, is_artifact
from ansible_collections.airgap.conda.plugins.module_utils._builder.selectors import names_a_platform, selects
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Item, Spec, package_name
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

try:
    import yaml
except ImportError:  # reported by libraries.py
    yaml = None  # type: ignore[assignment]

#: `platforms` and `category` are conda-lock's.
_KNOWN = ("name", "channels", "dependencies", "prefix", "variables", "platforms", "category")
#: One in parentheses is a remark.
_COMMENT = re.compile(r"[\s:,]*#[^\[\]]*\[([^\[\]]+)\][^()]*$")
#: An item that YAML took for more of the item above it.
_SWALLOWED = re.compile(r"\s-(\s|$)")
_TEMPLATE = re.compile(r"\{\{|\{%")
_SELECTION = re.compile(r"sel\((.*)\)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YAML = "tag:yaml.org,2002:"
_TAGS = {_YAML + name for name in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value")}


def parse(text: str, path: str, platform: str | None) -> Spec:
    """Read the *text* of the file *path*, for one platform or, where that is None, for all."""
    return _Reader(text, path, platform).spec()


class _Reader:
    def __init__(self, text: str, path: str, platform: str | None) -> None:
        self._text_of_file = text
        self._lines = text.splitlines()
        self._path = path
        self._platform = platform
        self._warnings: list[str] = []

    def spec(self) -> Spec:
        nodes = self._mapping(self._root())
        for key in nodes:
            if key not in _KNOWN:
                self._warn(nodes[key], f"`{key}` is not known and ignored")
        if "prefix" in nodes:
            self._warn(nodes["prefix"], "`prefix` is ignored: hosts have their own")
        self._check_platforms(nodes.get("platforms"))
        dependencies, pip = self._dependencies(nodes.get("dependencies"))
        name = nodes.get("name")
        return Spec(
            name=None if self._is_null(name) else self._text(name),
            origin=self._path if self._is_null(name) else self._place(name),
            channels=tuple(self._text(item) for item in self._items(nodes.get("channels"), "channels")),
            dependencies=dependencies,
            pip=pip,
            variables=self._variables(nodes.get("variables")),
            warnings=tuple(self._warnings),
        )

    def _root(self) -> t.Any:
        try:
            root = yaml.compose(self._text_of_file, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise SpecError(self._syntax(error)) from None
        if not isinstance(root, yaml.MappingNode):
            raise SpecError(f"{self._path}: is not an environment.yml: it has no keys such as dependencies")
        return root

    def _dependencies(self, node: t.Any) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        conda: list[Item] = []
        pip: list[Item] = []
        for item in self._items(node, "dependencies"):
            if not isinstance(item, yaml.MappingNode):
                conda.append(self._dependency(item))
                continue
            for key, value in self._mapping(item).items():
                selection = _SELECTION.fullmatch(key)
                if selection:
                    conda += self._selected(selection[1], value)
                elif key == "pip":
                    pip += [self._item(one) for one in self._items(value, "pip")]
                else:
                    self._fail(value, f"`{key}:` is not known inside dependencies; only `pip:` and `sel(…):` are")
        if not conda and not pip:
            raise SpecError(f"{self._path}: names no dependencies")
        return tuple(conda), tuple(pip)

    def _dependency(self, node: t.Any) -> Item:
        item = self._item(node)
        if _TEMPLATE.search(item.text):
            self._fail(
                node, f"{mask(item.text)!r} is a template, which conda does not fill in either; write what it gives"
            )
        if "://" in item.text and "::" not in item.text and not is_artifact(item.text):
            self._fail(node, f"{mask(item.text)!r} is no conda package; what pip installs belongs below `pip:`")
        try:
            named = artifact(item.text, "/").name if is_artifact(item.text) else package_name(item.text)
        except SpecError as error:
            self._fail(node, str(error))
        if not named:
            self._fail(node, f"{mask(item.text)!r} names no package")
        return item

    def _selected(self, expression: str, node: t.Any) -> list[Item]:
        """Read what stands behind mamba's C(sel(linux):)."""
        is_true = self._platform is None or selects(expression, self._platform)
        if is_true is None:
            self._fail(node, f"`sel({expression})` names no platform; use words such as linux, osx, win, unix, linux64")
        items = self._items(node, "sel") if isinstance(node, yaml.SequenceNode) else [node]
        return [self._dependency(item) for item in items] if is_true else []

    def _check_platforms(self, node: t.Any) -> None:
        platforms = [self._text(item) for item in self._items(node, "platforms")]
        if platforms and self._platform and self._platform not in platforms:
            self._warn(node, f"`platforms` names {', '.join(platforms)}, and the hosts are {self._platform}")

    def _variables(self, node: t.Any) -> tuple[tuple[str, str], ...]:
        if self._is_null(node):
            return ()
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, "variables must be a mapping of names to values")
        found = self._mapping(node)
        for name, value in found.items():
            if not _VARIABLE.fullmatch(name) or name == "PATH":
                self._fail(value, f"{name!r} cannot be set as a variable; use letters, digits and _, and not PATH")
        return tuple(sorted((name, self._value(value)) for name, value in found.items()))

    def _value(self, node: t.Any) -> str:
        """Return the value of a variable, which may be empty and keeps its spaces."""
        if self._is_null(node) or not isinstance(node, yaml.ScalarNode):
            self._fail(node, "a text is expected here")
        if "\0" in node.value:
            self._fail(node, "a variable cannot hold the character NUL")
        return str(node.value)

    def _items(self, node: t.Any, key: str) -> list[t.Any]:
        """Return the items of a list, without those that a comment such as C(# [win]) keeps for other platforms."""
        if self._is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fail(node, f"{key} must be a list")
        return [item for item in node.value if node.flow_style or self._is_selected(item)]

    def _is_selected(self, item: t.Any) -> bool:
        # Of a mapping, such as pip's, the comment stands behind the key.
        marked = item.value[0][0] if isinstance(item, yaml.MappingNode) and item.value else item
        mark = marked.end_mark
        rest = self._lines[mark.line][mark.column :] if mark.line < len(self._lines) else ""
        comment = _COMMENT.match(rest)
        if not comment or self._platform is None:
            return True
        found = selects(comment[1], self._platform)
        if found is None and names_a_platform(comment[1]):
            self._warn(item, f"`# [{comment[1]}]` is not a selector of platforms; the line is taken")
        return found is not False

    def _mapping(self, node: t.Any) -> dict[str, t.Any]:
        """Return the values of a mapping by key; those that C(<<) brings count less than its own."""
        nodes: dict[str, t.Any] = {}
        merged: dict[str, t.Any] = {}
        self._check_tag(node)
        for key, value in node.value:
            if key.tag == f"{_YAML}merge":
                merged.update(self._merged(value))
                continue
            name = self._text(key)
            if name in nodes:
                self._fail(key, f"`{name}` is there twice")
            nodes[name] = value
        return {**merged, **nodes}

    def _merged(self, node: t.Any) -> dict[str, t.Any]:
        if isinstance(node, yaml.SequenceNode) and node.value:
            return {key: value for part in reversed(node.value) for key, value in self._merged(part).items()}
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, "`<<` takes a mapping")
        return self._mapping(node)

    def _item(self, node: t.Any) -> Item:
        text = self._text(node)
        if node.style is None and node.end_mark.line > node.start_mark.line and _SWALLOWED.search(text):
            self._fail(node, f"{mask(text)!r}: the line below is indented too deep and belongs to this one")
        return Item(text, node.start_mark.line + 1)

    def _text(self, node: t.Any) -> str:
        """Return what was typed: YAML would make 3.1 of 3.10."""
        self._check_tag(node)
        if isinstance(node, yaml.MappingNode):
            self._fail(node, "a text is expected here; put it in quotes if its colon or braces belong to it")
        if not isinstance(node, yaml.ScalarNode) or self._is_null(node) or not node.value.strip():
            self._fail(node, "a text is expected here")
        return str(node.value).strip()

    def _check_tag(self, node: t.Any) -> None:
        if node.tag not in _TAGS:
            self._fail(node, f"the tag {node.tag.replace(_YAML, '!!')} is not understood; leave it out")

    @staticmethod
    def _is_null(node: t.Any) -> bool:
        return node is None or node.tag == f"{_YAML}null"

    def _place(self, node: t.Any) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"

    def _warn(self, node: t.Any, message: str) -> None:
        self._warnings.append(f"{self._place(node)}: {message}")

    def _fail(self, node: t.Any, message: str) -> t.NoReturn:
        raise SpecError(f"{self._place(node)}: {message}")

    def _syntax(self, error: t.Any) -> str:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            # What is not printable is found before lines are counted.
            line = self._text_of_file.count("\n", 0, getattr(error, "position", 0)) + 1
            return f"{self._path}:{line}: holds a character that no YAML may hold: {error.character:#x}"
        place = f"{self._path}:{mark.line + 1}"
        problem = str(getattr(error, "problem", None) or error)
        if "another document" in problem:
            return f"{place}: another document begins here; keep one environment in the file"
        return f"{place}: is not YAML: {problem}"
