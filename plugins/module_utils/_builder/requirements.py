# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""pip's requirement files: the list in the spec, and every file that it or they name with -r and -c."""

from __future__ import annotations

import optparse
import os
import re
import shlex
import typing as t
import urllib.parse

from ansible_collections.airgap.conda.plugins.module_utils._builder.spec import Item
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import mask

#: Returns the text of a file.
Read = t.Callable[[str], str]

_COMMENT = re.compile(r"(^|\s+)#.*$")
#: YAML joins lines with a space, and leaves the backslash.
_FOLDED = re.compile(r"\\\s+(?=--)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ARCHIVE = (".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.lz", ".tar.lzma")
_EXTRAS = re.compile(r"\[[^\[\]]*\]$")


class Line(t.NamedTuple):
    """One requirement or option, on one line, and where it stands."""

    text: str
    number: int
    #: The file that it names, of which *text* is only the option.
    includes: str = ""


class RequirementFile(t.NamedTuple):
    """One file for pip."""

    path: str
    lines: tuple[Line, ...]
    is_constraints: bool = False


def requirement_files(items: t.Sequence[Item], path: str, read: Read) -> tuple[RequirementFile, ...]:
    """Return the list in the spec *path*, then every file it includes; raises C(SpecError) with file and line."""
    texts = [(_FOLDED.sub("", text), line) for item in items for text, line in _item_lines(item)]
    collected = _Collection(read)
    collected.add(path, texts, ())
    return tuple(collected.files.values())


def requirements(files: t.Iterable[RequirementFile]) -> tuple[str, ...]:
    """Return everything that shall be installed, and the options; constraints ask for nothing."""
    lines = (line for file in files if not file.is_constraints for line in file.lines if not line.includes)
    return tuple(line.text for line in lines)


def local_paths(files: t.Iterable[RequirementFile], directory: str) -> tuple[str, ...]:
    """Return the wheels, archives and source trees that are named by path; pip's relative ones start at *directory*."""
    found: dict[str, None] = {}
    for file in files:
        for line in file.lines:
            path = _local_path(line.text, directory)
            if path and not os.path.exists(path):
                raise SpecError(f"{file.path}:{line.number}: {path} is not on the builder")
            if path:
                found[path] = None
    return tuple(found)


def write_files(files: t.Sequence[RequirementFile], directory: str, edit: t.Callable[[str], str]) -> str:
    """Write *files* to *directory*, every line *edit*-ed, and return the first one's path.

    Each line keeps its number, which pip tells with what is wrong.
    """
    names = {file.path: os.path.join(directory, f"{number}.txt") for number, file in enumerate(files)}
    for file in files:
        with open(names[file.path], "w", encoding="utf-8") as written:
            at = 1
            for line in file.lines:
                written.write("\n" * (line.number - at))
                text = f"{line.text} {names[line.includes]}" if line.includes else edit(line.text)
                written.write(f"{text}\n")
                at = max(at, line.number) + 1
    return names[files[0].path]


class _Collection:
    """Files by path, in the order in which they are included."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.files: dict[str, RequirementFile] = {}

    def add(
        self, path: str, texts: t.Iterable[tuple[str, int]], above: tuple[str, ...], constrains: bool = False
    ) -> None:
        """Add the file *path* and what it includes; *above* are the files that led to it."""
        lines = tuple(_line(text, number, path) for text, number in texts)
        self.files[path] = RequirementFile(path, lines, constrains)
        for line in lines:
            if line.includes in (*above, path):
                raise SpecError(f"{path}:{line.number}: {line.includes} includes itself")
            inner = constrains or line.text == "-c"
            known = self.files.get(line.includes)
            if line.includes and (known is None or known.is_constraints > inner):
                place = f"{path}:{line.number}"
                self.add(line.includes, _logical_lines(self._text(line.includes, place)), (*above, path), inner)

    def _text(self, path: str, place: str) -> str:
        try:
            return self._read(path)
        except OSError as error:
            raise SpecError(f"{place}: {path} cannot be read: {error.strerror}") from None


def _line(text: str, number: int, path: str) -> Line:
    values = _options(text)
    if values is None:
        return Line(text, number)
    if values.editable:
        raise SpecError(
            f"{path}:{number}: {mask(text)!r} is an editable install: it stays in the builder's file system and cannot "
            "travel; name the package, or a wheel of it"
        )
    for option, named in (("-r", values.requirement), ("-c", values.constraint)):
        if named and not _ADDRESS.match(named[0]):
            return Line(option, number, os.path.normpath(os.path.join(os.path.dirname(path), named[0])))
    return Line(_with_absolute_links(text, values.find_links, path), number)


def _with_absolute_links(text: str, links: t.Sequence[str] | None, path: str) -> str:
    """Return *text* as a file elsewhere needs it: pip looks for C(--find-links) beside the file that says it."""
    words = shlex.split(text)
    for link in links or ():
        beside = os.path.join(os.path.dirname(path), link)
        if not os.path.isabs(link) and os.path.exists(beside):
            words = [word.replace(link, beside) if word.endswith(link) else word for word in words]
    return text if words == shlex.split(text) else shlex.join(words)


def _item_lines(item: Item) -> t.Iterator[tuple[str, int]]:
    for text, number in _logical_lines(item.text):
        yield text, item.line + number - 1


def _logical_lines(text: str) -> t.Iterator[tuple[str, int]]:
    """Yield what pip makes of a file: lines joined at backslashes, without comments, with the number of the first."""
    parts: list[str] = []
    start = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not parts:
            start = number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        parts.append(f" {line}" if is_comment else line)
        yield from _uncommented("".join(parts), start)
        parts = []
    yield from _uncommented("".join(parts), start)


def _uncommented(text: str, number: int) -> t.Iterator[tuple[str, int]]:
    stripped = _COMMENT.sub("", text).strip()
    if stripped:
        yield stripped, number


class _Parser(optparse.OptionParser):
    def error(self, msg: str) -> t.NoReturn:
        raise ValueError(msg)


def _parser() -> _Parser:
    """Return a reader of the options that requirement files may have; C(optparse) is also what pip reads them with."""
    parser = _Parser(add_help_option=False)
    for names in (("-r", "--requirement"), ("-c", "--constraint"), ("-e", "--editable"), ("-f", "--find-links")):
        parser.add_option(*names, action="append")
    parser.add_option("-i", "--index-url", "--pypi-url", action="append", dest="index_url")
    for name in ("--extra-index-url", "--no-binary", "--only-binary", "--trusted-host", "--use-feature"):
        parser.add_option(name, action="append")
    for name in ("--no-index", "--prefer-binary", "--require-hashes", "--pre"):
        parser.add_option(name, action="store_true")
    # Of an editable install.
    parser.add_option("-C", "--config-settings", action="append")
    parser.add_option("--global-option", action="append")
    return parser


def _options(line: str) -> t.Any:
    """Return the options of a line that has nothing else; None of any other line, which pip judges."""
    if not line.startswith("-"):
        return None
    try:
        return _parser().parse_args(shlex.split(line))[0]
    except ValueError:
        return None


def _local_path(text: str, directory: str) -> str:
    """Return the path that a requirement is, or empty; pip's own rules decide what looks like one."""
    if text.startswith("-"):
        return ""
    where = re.split(r"\s;|;\s|\s+--", text, maxsplit=1)[0].strip()
    name, at, address = where.partition("@")
    if at and re.fullmatch(r"[A-Za-z0-9._-]+(\s*\[[^\[\]]*\])?\s*", name) and _ADDRESS.match(address.strip()):
        where = address.strip()
    if where.startswith("file:"):
        return os.path.normpath(urllib.parse.unquote(urllib.parse.urlsplit(where).path))
    if _ADDRESS.match(where):
        return ""
    where = _EXTRAS.sub("", where)
    is_path = os.sep in where or where.startswith(".") or where.lower().endswith(_ARCHIVE)
    return os.path.normpath(os.path.join(directory, where)) if is_path else ""
