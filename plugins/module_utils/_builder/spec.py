# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""The user's environment.yml as data, with the line of everything that can be wrong with it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

try:
    import yaml
except ImportError:  # reported by libraries.py
    yaml = None  # type: ignore[assignment]

_KNOWN = ("name", "channels", "dependencies", "prefix", "variables")
_EDITABLE = re.compile(r"(-e|--editable)([ =]|$)")
_FILE_OPTION = re.compile(r"(-r|--requirement|-c|--constraint)([ =]|$)")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What an environment.yml asks for, as typed."""

    name: str | None = None
    channels: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def names_pip(self) -> bool:
        return any(package_name(dependency) == "pip" for dependency in self.dependencies)


def parse_spec(text: str, path: str) -> Spec:
    """Read the *text* of the file *path*; raises C(SpecError) with file and line."""
    return _Reader(path).read(text)


def package_name(dependency: str) -> str:
    """Return the name of the package a conda dependency asks for, in lower case."""
    found = re.match(r"[A-Za-z0-9_.-]+", dependency.rpartition("::")[2].strip())
    return found[0].lower() if found else ""


def environment_name(name: str | None, origin: str) -> str:
    """Return *name* if it can be a directory's name on every host; *origin* says where it was read."""
    if not name:
        raise SpecError(f"{origin}: the environment has no name; add `name:` to the file or set the option name")
    if not _NAME.fullmatch(name):
        raise SpecError(f"{origin}: {name!r} cannot name a directory; use letters, digits and _ . + -")
    if name in ("base", "root"):
        raise SpecError(f"{origin}: {name!r} is conda's own environment on the hosts; choose another name")
    return name


class _Reader:
    """Reads YAML nodes, which know their lines, instead of values, which do not."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._warnings: list[str] = []

    def read(self, text: str) -> Spec:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise SpecError(self._syntax(error)) from error
        if not isinstance(root, yaml.MappingNode):
            raise SpecError(f"{self._path}: is not an environment.yml: it has no keys such as dependencies")
        nodes = self._mapping(root)
        for key in nodes:
            if key not in _KNOWN:
                self._warn(nodes[key], f"`{key}` is not known and ignored")
        if "prefix" in nodes:
            self._warn(nodes["prefix"], "`prefix` is ignored: hosts have their own")
        dependencies, pip = self._dependencies(nodes.get("dependencies"))
        return Spec(
            name=self._optional_text(nodes.get("name")),
            channels=tuple(self._texts(nodes.get("channels"), "channels")),
            dependencies=dependencies,
            pip=pip,
            variables=self._variables(nodes.get("variables")),
            warnings=tuple(self._warnings),
        )

    def _dependencies(self, node: t.Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        conda: list[str] = []
        pip: list[str] = []
        for item in self._items(node, "dependencies"):
            if isinstance(item, yaml.MappingNode):
                pip += self._pip(item)
            else:
                conda.append(self._text(item))
        if not conda and not pip:
            raise SpecError(f"{self._path}: names no dependencies")
        return tuple(conda), tuple(pip)

    def _pip(self, node: t.Any) -> list[str]:
        nodes = self._mapping(node)
        for key, value in nodes.items():
            if key != "pip":
                self._fail(value, f"`{key}:` is not known inside dependencies; only `pip:` is")
        items = self._items(nodes["pip"], "pip")
        return [self._requirement(item) for item in items]

    def _requirement(self, node: t.Any) -> str:
        text = self._text(node)
        if _EDITABLE.match(text):
            self._fail(
                node,
                f"{text!r} is an editable install: it stays in the builder's file system and cannot travel; "
                "name the package, or a wheel of it",
            )
        if _FILE_OPTION.match(text):
            self._fail(node, f"{text!r}: further files are not read; list their requirements here")
        return text

    def _variables(self, node: t.Any) -> tuple[tuple[str, str], ...]:
        if self._is_null(node):
            return ()
        if not isinstance(node, yaml.MappingNode):
            self._fail(node, "variables must be a mapping of names to values")
        return tuple(sorted((name, self._text(value)) for name, value in self._mapping(node).items()))

    def _texts(self, node: t.Any, key: str) -> list[str]:
        return [self._text(item) for item in self._items(node, key)]

    def _items(self, node: t.Any, key: str) -> list[t.Any]:
        if self._is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._fail(node, f"{key} must be a list")
        return list(node.value)

    def _mapping(self, node: t.Any) -> dict[str, t.Any]:
        nodes: dict[str, t.Any] = {}
        for key, value in node.value:
            name = self._text(key)
            if name in nodes:
                self._fail(key, f"`{name}` is there twice")
            nodes[name] = value
        return nodes

    def _optional_text(self, node: t.Any) -> str | None:
        return None if self._is_null(node) else self._text(node)

    def _text(self, node: t.Any) -> str:
        """Return what was typed: YAML would make 3.1 of 3.10."""
        if not isinstance(node, yaml.ScalarNode) or self._is_null(node) or not node.value.strip():
            self._fail(node, "a text is expected here")
        return str(node.value).strip()

    @staticmethod
    def _is_null(node: t.Any) -> bool:
        return node is None or node.tag == "tag:yaml.org,2002:null"

    def _warn(self, node: t.Any, message: str) -> None:
        self._warnings.append(f"{self._path}:{node.start_mark.line + 1}: {message}")

    def _fail(self, node: t.Any, message: str) -> t.NoReturn:
        raise SpecError(f"{self._path}:{node.start_mark.line + 1}: {message}")

    def _syntax(self, error: t.Any) -> str:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        return f"{self._path}{line}: is not YAML: {getattr(error, 'problem', None) or error}"
