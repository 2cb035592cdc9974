# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import PackError
from ansible_collections.airgap.conda.plugins.module_utils._model.licenses import (
    Rules,
    check_licenses,
    fault,
    parse,
    parse_rules,
    render_report,
    spelling,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package
from hypothesis import given
from hypothesis import strategies as st

GCC = "GPL-3.0-only WITH GCC-exception-3.1"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("MIT", "MIT"),
        ("  MIT ", "MIT"),
        ("MIT OR Apache-2.0", ("OR", ("MIT", "Apache-2.0"))),
        ("mit or apache-2.0", ("OR", ("mit", "apache-2.0"))),
        ("A OR B AND C", ("OR", ("A", ("AND", ("B", "C"))))),
        ("(A OR B) AND C", ("AND", (("OR", ("A", "B")), "C"))),
        ("A AND B AND C", ("AND", ("A", "B", "C"))),
        ("gpl-3.0-only with GCC-exception-3.1", GCC),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPLv2+ OR MPL-1.1+", ("OR", ("GPL-2.0-or-later", "MPL-1.1+"))),
        ("LicenseRef-Own", "LicenseRef-Own"),
        ("DocumentRef-x:LicenseRef-y", "DocumentRef-x:LicenseRef-y"),
        ("MIT License", "MIT"),
    ],
)
def test_expressions_are_read(text: str, tree: t.Any) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "UNKNOWN",
        "None",
        "MIT, BSD",
        "MIT/X11",
        "see file",
        "A AND",
        "OR B",
        "(A",
        "A)",
        "A WITH",
        "()",
        "A (B)",
    ],
)
def test_what_is_no_expression_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GPL", "GPL-1.0-or-later"),
        ("LGPL", "LGPL-2.0-or-later"),
        ("GPL3", "GPL-3.0-only"),
        ("GPL 3", "GPL-3.0-only"),
        ("GPLv3", "GPL-3.0-only"),
        ("gplv3+", "GPL-3.0-or-later"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPL-2.0-only", "GPL-2.0-only"),
        ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
        ("GNU LGPL v2.1 or later", "LGPL-2.1-or-later"),
        ("GNU General Public License v2 or later (GPLv2+)", "GPL-2.0-or-later"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "LGPL-3.0-only"),
        ("GNU General Public License (GPL)", "GPL-1.0-or-later"),
        ("GNU Affero General Public License v3", "AGPL-3.0-only"),
        ("Apache 2.0", "Apache-2.0"),
        ("BSD", ""),
        ("Apache Software License", ""),
        ("GPL and more", ""),
    ],
)
def test_other_spellings_are_known(text: str, name: str) -> None:
    assert spelling(text) == name


@pytest.mark.parametrize(
    ("licence", "allow", "deny", "expected"),
    [
        ("MIT", [], [], ""),
        ("", [], [], ""),
        ("MIT", ["mit"], [], ""),
        ("mit", ["MIT"], [], ""),
        ("MIT License", ["MIT"], [], ""),
        ("BSD-3-Clause", ["MIT", "BSD-*"], [], ""),
        ("ISC", ["MIT", "BSD-*"], [], "not allowed"),
        ("GPL-3.0-only", [], ["GPL-*"], "denied"),
        ("GPLv3", [], ["GPL-*"], "denied"),
        ("GPL", [], ["GPL-*"], "denied"),
        ("LGPL-2.1-only", [], ["GPL-*"], ""),
        ("GPL-2.0+", [], ["GPL-2.0-or-later"], "denied"),
        ("GPL-2.0-or-later", ["GPL-2.0+"], [], ""),
        ("MPL-1.1+", ["MPL-1.1"], [], ""),
        ("MIT", ["MIT"], ["MIT"], "denied"),
        ("MIT", ["MIT"], ["*"], ""),
        ("ISC", ["*"], ["I*"], "denied"),
        # Either of an OR will do; of an AND, all must.
        ("MIT OR GPL-3.0-only", [], ["GPL-*"], ""),
        ("MIT AND GPL-3.0-only", [], ["GPL-*"], "denied"),
        ("MIT OR ISC", ["ISC"], [], ""),
        ("MIT AND ISC", ["ISC"], [], "not allowed"),
        ("(MIT OR GPL-3.0-only) AND ISC", ["MIT", "ISC"], [], ""),
        ("MIT AND GPL-3.0-only", ["MIT*"], [], "not allowed"),
        ("MIT AND GPL-3.0-only", ["mit and gplv3", "MIT AND GPL-3.0-only"], [], ""),
        # An exception gives more rights, and can be named.
        (GCC, [], ["GPL-*"], "denied"),
        (GCC, ["GPL-3.0-only"], [], ""),
        (GCC, ["*", GCC], ["GPL-*"], ""),
        # What is no expression is known only by its name.
        ("Apache Software License", ["Apache Software License"], [], ""),
        ("Apache Software License", ["apache*"], [], "unknown"),
        ("Apache Software License", ["*"], [], "unknown"),
        ("GPL-3.0, with parts of others", [], ["GPL-*"], "denied"),
        ("see the file", [], ["GPL-*"], "unknown"),
        ("", ["MIT"], [], "unknown"),
        ("UNKNOWN", ["MIT"], [], "unknown"),
    ],
)
def test_judgements(licence: str, allow: list[str], deny: list[str], expected: str) -> None:
    assert fault(Package("x", "1", licence=licence), parse_rules({"allow": allow, "deny": deny})) == expected


def test_what_is_unknown_may_be_allowed_and_packages_exempt() -> None:
    rules = parse_rules({"allow": ["MIT"], "allow_unknown": True, "exempt": ["readline", "my-*"]})
    licences = {"x": "", "readline": "GPL-3.0-only", "My-own": "Proprietary", "y": "GPL-3.0-only"}
    found = {name: fault(Package(name, "1", licence=licence), rules) for name, licence in licences.items()}
    assert found == {"x": "", "readline": "", "My-own": "", "y": "not allowed"}


def test_without_lists_only_a_plain_no_refuses_what_is_unknown() -> None:
    assert parse_rules(None) == Rules() == parse_rules({"allow": [], "deny": None, "allow_unknown": None})
    assert fault(Package("x", "1"), parse_rules({"allow_unknown": False})) == "unknown"


def test_a_refusal_is_one_sentence_naming_each_package() -> None:
    packages = [Package("b", "2", licence="GPL-3.0-only"), Package("a", "1"), Package("c", "3", licence="MIT")]
    with pytest.raises(PackError) as caught:
        check_licenses(packages, parse_rules({"allow": ["MIT"]}))
    assert str(caught.value) == (
        "licenses keeps out of the bundle: a 1 (states no licence: unknown), "
        "b 2 (GPL-3.0-only: not allowed); replace them, allow their licences, or name them in exempt"
    )
    check_licenses(packages, Rules())


@given(st.text("()+-AOWRNDTHIMX.1 ", max_size=30))
def test_any_text_is_read_or_none_and_reads_the_same_again(text: str) -> None:
    tree = parse(text)
    assert fault(Package("x", "1", licence=text), parse_rules({"deny": ["GPL-*"]})) in ("", "denied", "unknown")
    if isinstance(tree, str):
        assert parse(tree) == tree


def test_the_report_groups_packages_by_what_they_state() -> None:
    packages = [
        Package("zlib", "1", "0", licence="Zlib"),
        Package("attrs", "23.1.0", manager=PIP, licence="MIT"),
        Package("six", "1.16.0", "0", licence="MIT"),
        Package("odd", "1", "0"),
    ]
    expected = """\
Licences of the packages in my_env-linux-64-0123, as they state them

MIT
    attrs 23.1.0 (pip)
    six 1.16.0 0

Zlib
    zlib 1 0

(none stated)
    odd 1 0
"""
    assert (
        render_report("my_env-linux-64-0123", packages)
        == expected
        == render_report("my_env-linux-64-0123", reversed(packages))
    )
