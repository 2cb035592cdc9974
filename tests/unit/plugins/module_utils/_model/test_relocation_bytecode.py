# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled Python that names another path: judged by the interpreter that has to load it."""

from __future__ import annotations

import marshal
import types
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.relocation import relocate

SOURCE = """
import os
TEXT = "{quoted}/share/data"
def outer():
    class Inner:
        def method(self):
            return [each for each in TEXT]
    return lambda: Inner
"""
LONG = "/build/" + "_h_env_placehold" * 15
SHORT = "/b/_h_env_placehold"


def code_names(code: types.CodeType) -> t.Iterator[str]:
    yield code.co_filename
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_names(constant)


def compiled(old: str, quoted: str = "") -> bytes:
    return b"\0" * 16 + marshal.dumps(compile(SOURCE.replace("{quoted}", quoted), f"{old}/lib/module.py", "exec"))


@pytest.mark.parametrize("old", [LONG, SHORT])
@pytest.mark.parametrize("prefix", ["/o", "/opt/conda/envs/ml", "/srv/\u00fcmlaut", "/" + "x" * 400])
def test_every_name_of_a_source_is_that_at_the_prefix(old: str, prefix: str) -> None:
    data = b"".join(relocate([compiled(old)], [(old, "bytecode")], prefix))
    assert set(code_names(marshal.loads(data[16:]))) == {f"{prefix}/lib/module.py"}


def test_the_code_does_what_it_did() -> None:
    data = b"".join(relocate([compiled(LONG, LONG)], [(LONG, "bytecode")], "/opt/ml"))
    found: dict[str, t.Any] = {}
    exec(marshal.loads(data[16:]), found)
    assert found["TEXT"] == "/opt/ml/share/data"
    assert found["outer"]()()().method() == list(found["TEXT"])


def test_what_names_nothing_and_what_is_cut_stays_as_it_is() -> None:
    for data in (compiled("/elsewhere"), LONG.encode(), b"a\xff\xff\0\0" + LONG.encode(), b"z\x03" + LONG.encode()):
        assert b"".join(relocate([data], [(LONG, "bytecode")], "/opt/ml")) == data


def test_the_placeholder_within_a_longer_string_stays() -> None:
    inside = compiled("/elsewhere", f"see {LONG}")
    assert b"".join(relocate([inside], [(LONG, "bytecode")], "/opt/ml")) == inside
