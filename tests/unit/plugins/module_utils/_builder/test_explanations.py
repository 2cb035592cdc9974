# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.airgap.conda.plugins.module_utils._builder.explanations import (
    elsewhere,
    unknown_packages,
    unreachable,
    unsatisfiable,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.platforms import VirtualPackage

# As py-rattler 0.28 prints them.
CHAIN = """Cannot solve the request because of: alpha 2.* cannot be installed because there are no viable options:
└─ alpha 2.0 would require
   └─ beta >=2, which cannot be installed because there are no viable options:
      └─ beta 2.0 would require
         └─ __glibc >=2.99, for which no candidates were found.
"""
SIBLINGS = """The following packages are incompatible
├─ alpha 1.* can be installed with any of the following options:
│  └─ alpha 1.0 would require
│     └─ beta >=1,<2, which can be installed with any of the following options:
│        └─ beta 1.0
└─ beta 2.* cannot be installed because there are no viable options:
   └─ beta 2.0, which conflicts with the versions reported above.
"""


def test_unknown_packages_come_with_the_nearest_names() -> None:
    assert unknown_packages(["pandsa", "numpy=1"], ["numpy", "pandas", "six"], ["https://a:b@h/c"]) == (
        "no channel has a package pandsa; did you mean pandas? (channels: https://***@h/c)"
    )


def test_other_platforms_are_named() -> None:
    assert elsewhere({"bzip2=1.0.8=hcfcfb64_5": {"win-64"}, "b": {"osx-64", "osx-arm64"}}, "linux-64") == (
        "bzip2=1.0.8=hcfcfb64_5 exists for win-64 only; b exists for osx-64 and osx-arm64 only, and the hosts are "
        "linux-64; take the build or package away, or mark it `# [win]`"
    )
    assert elsewhere({}, "linux-64") is None


def test_nothing_is_unknown() -> None:
    assert unknown_packages(["numpy=1"], ["numpy"], []) is None


def test_a_chain_becomes_one_sentence_with_what_was_assumed() -> None:
    assert unsatisfiable(CHAIN, [VirtualPackage("__glibc", "2.31"), VirtualPackage("__cuda", "12")]) == (
        "the dependencies cannot be satisfied together: alpha 2.* cannot be installed because there are no viable "
        "options: alpha 2.0 would require beta >=2, which cannot be installed because there are no viable options: "
        "beta 2.0 would require __glibc >=2.99, for which no candidates were found. "
        "(assumed of the hosts, see virtual_packages: __glibc 2.31)"
    )


def test_siblings_become_clauses() -> None:
    assert unsatisfiable(SIBLINGS, []) == (
        "the dependencies cannot be satisfied together: The following packages are incompatible; "
        "alpha 1.* can be installed with any of the following options: alpha 1.0 would require beta >=1,<2, which "
        "can be installed with any of the following options: beta 1.0; beta 2.* cannot be installed because there are "
        "no viable options: beta 2.0, which conflicts with the versions reported above."
    )


def test_the_channel_that_cannot_be_read_is_named_without_its_credentials() -> None:
    said = "error sending request for url (http://h:9/t/********/x/noarch/repodata.json)\nCaused by: refused"
    assert unreachable(said, ["https://other/y", "http://ann:pw@h:9/t/tk-1/x"]) == (
        "channel http://h:9/t/***/x cannot be read: error sending request for url "
        "(http://h:9/t/***/x/noarch/repodata.json); refused. Check its address, and the builder's proxy and CA settings"
    )
