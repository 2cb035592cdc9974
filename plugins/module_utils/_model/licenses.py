# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.
"""Licences of packages: read as SPDX expressions, judged by lists, and reported. Pure."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import Package

REPORT_NAME = "licenses.txt"

_AND, _OR, _WITH = "AND", "OR", "WITH"
_TOKEN = re.compile(r"\s*([()]|[A-Za-z0-9.+:-]+)")

#: How packages write GNU licences: GPLv3, GPL-3.0+, LGPL 2.1 or later, GNU AGPL v3, GPL-2.0-only.
_GNU = re.compile(r"(?:gnu )?([al]?gpl)[ -]?v?(\d(?:\.\d)?)?(\+|[ -]or[ -]later|-only)?", re.IGNORECASE)
#: A licence without a version is any version, from the first one on.
_FIRST = {"gpl": "1.0", "lgpl": "2.0", "agpl": "1.0"}

#: Spellings that mean one licence and no other.
_SPELLINGS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "2-clause bsd": "BSD-2-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "gnu affero general public license v3": "AGPL-3.0-only",
}
#: What packages write when they state nothing.
_NOTHING = ("", "unknown", "none", "noassertion")

#: A tree of a licence expression: a licence, or an operator and what it joins.
Tree = t.Union[str, t.Tuple[str, t.Tuple[t.Any, ...]]]


class Rules(t.NamedTuple):
    """Which licences a bundle may hold; nothing is refused by default."""

    #: Licences, expressions, and patterns such as BSD-*; empty: all.
    allow: t.Tuple[str, ...] = ()
    deny: t.Tuple[str, ...] = ()
    #: Whether a package may state none, or one that is no expression and not listed.
    allow_unknown: bool = True
    #: Names of packages that are not judged; patterns.
    exempt: t.Tuple[str, ...] = ()


def parse_rules(fields: t.Optional[t.Mapping[str, t.Any]]) -> Rules:
    """Make rules of the parameters of a module; with lists, what is unknown is refused unless it says otherwise."""
    given = fields or {}
    allow, deny = tuple(given.get("allow") or ()), tuple(given.get("deny") or ())
    unknown = given.get("allow_unknown")
    if unknown is None:
        unknown = not (allow or deny)
    return Rules(allow, deny, bool(unknown), tuple(given.get("exempt") or ()))


def check_licenses(packages: t.Iterable[Package], rules: Rules) -> None:
    """Raise C(PackError) naming each of *packages* whose licence the *rules* do not allow."""
    refused = [
        f"{package.name} {package.version} ({package.licence or 'states no licence'}: {reason})"
        for package in sorted(packages)
        for reason in [fault(package, rules)]
        if reason
    ]
    if refused:
        raise PackError(
            f"licenses keeps out of the bundle: {', '.join(refused)}; "
            "replace them, allow their licences, or name them in exempt"
        )


def fault(package: Package, rules: Rules) -> str:
    """Return why *package* may not travel, or empty."""
    if any(fnmatch.fnmatchcase(package.name.lower(), pattern.lower()) for pattern in rules.exempt):
        return ""
    text = " ".join(package.licence.split())
    tree = parse(text)
    if tree is not None:
        return _fault_of_tree(tree, rules)
    if _named(text, rules.deny, exactly=False):
        return "denied"
    if text and _named(text, rules.allow, exactly=True):
        return ""
    return "" if rules.allow_unknown else "unknown"


def _fault_of_tree(tree: Tree, rules: Rules) -> str:
    said = _text(tree)
    if isinstance(tree, str):
        return _fault_of_licence(said, rules)
    if _named(said, rules.allow, exactly=True):
        return ""
    if _named(said, rules.deny, exactly=True):
        return "denied"
    faults = [_fault_of_tree(part, rules) for part in tree[1]]
    if tree[0] == _OR and "" in faults:
        return ""
    return next(filter(None, faults), "")


def _fault_of_licence(licence: str, rules: Rules) -> str:
    """A name outranks a pattern, and denying outranks allowing."""
    for exactly in (True, False):
        if _matches(licence, rules.deny, exactly):
            return "denied"
        if _matches(licence, rules.allow, exactly):
            return ""
    return "not allowed" if rules.allow else ""


def _matches(licence: str, patterns: t.Iterable[str], exactly: bool) -> bool:
    """Whether *licence*, or it without its exception or its "or later", is named; both only give more rights."""
    plain = licence.partition(f" {_WITH} ")[0]
    names = (licence,) if exactly else (licence, plain, plain.rstrip("+"))
    return any(_named(name, patterns, exactly) for name in names)


def _named(text: str, patterns: t.Iterable[str], exactly: bool) -> bool:
    wanted = [_canonical(pattern) for pattern in patterns]
    if exactly:
        return text.lower() in wanted
    return any(fnmatch.fnmatchcase(text.lower(), pattern) for pattern in wanted)


def _canonical(pattern: str) -> str:
    tree = parse(pattern)
    return (" ".join(pattern.split()) if tree is None else _text(tree)).lower()


# --- expressions ----------------------------------------------------------------------------------------------------


def parse(text: str) -> t.Optional[Tree]:
    """Return the tree of a licence expression, or None when *text* is none."""
    text = " ".join(text.split())
    if text.lower() in _NOTHING:
        return None
    known = spelling(text)
    if known:
        return known
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        return None
    try:
        tree = _any_of(tokens)
    except (IndexError, ValueError):
        return None
    return None if tokens else tree


def spelling(text: str) -> str:
    """Return the SPDX name of a licence written another way, or empty."""
    known = _SPELLINGS.get(text.lower())
    if known:
        return known
    # Classifiers end with a short form: GNU General Public License v3 or later (GPLv3+).
    short = re.search(r"\(([^()]*)\)$", text) if text.lower().startswith("gnu ") else None
    match = _GNU.fullmatch(short[1] if short else text)
    if not match:
        return ""
    family, version, suffix = match[1].upper(), match[2], (match[3] or "").lower()
    if not version:
        return f"{family}-{_FIRST[family.lower()]}-or-later"
    return (
        f"{family}-{version if '.' in version else version + '.0'}-{'only' if suffix in ('', '-only') else 'or-later'}"
    )


def _any_of(tokens: t.List[str]) -> Tree:
    return _joined(tokens, _OR, lambda rest: _joined(rest, _AND, _licence))


def _joined(tokens: t.List[str], operator: str, part: t.Callable[[t.List[str]], Tree]) -> Tree:
    parts = [part(tokens)]
    while tokens and tokens[0].upper() == operator:
        del tokens[0]
        parts.append(part(tokens))
    return parts[0] if len(parts) == 1 else (operator, tuple(parts))


def _licence(tokens: t.List[str]) -> Tree:
    name = tokens.pop(0)
    if name == "(":
        tree = _any_of(tokens)
        if tokens.pop(0) != ")":
            raise ValueError("a parenthesis stays open")
        return tree
    _check_word(name)
    name = spelling(name) or name
    if tokens and tokens[0].upper() == _WITH:
        del tokens[0]
        exception = tokens.pop(0)
        _check_word(exception)
        return f"{name} {_WITH} {exception}"
    return name


def _check_word(word: str) -> None:
    if word in "()" or word.upper() in (_AND, _OR, _WITH):
        raise ValueError(f"{word} is no licence")


def _text(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    return f" {tree[0]} ".join(_text(part) if isinstance(part, str) else f"({_text(part)})" for part in tree[1])


# --- report ---------------------------------------------------------------------------------------------------------


def render_report(label: str, packages: t.Iterable[Package]) -> str:
    """Return the report of a bundle: each licence as it is stated, and the packages that state it."""
    by_licence: t.Dict[str, t.List[str]] = {}
    for package in sorted(packages):
        by_licence.setdefault(" ".join(package.licence.split()), []).append(package.line)
    lines = [f"Licences of the packages in {label}, as they state them"]
    for licence in sorted(by_licence, key=lambda text: (not text, text.lower(), text)):
        lines += ["", licence or "(none stated)", *(f"    {line}" for line in by_licence[licence])]
    return "\n".join(lines) + "\n"
