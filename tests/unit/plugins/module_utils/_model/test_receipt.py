# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.receipt import (
    Header,
    Item,
    parse_header,
    parse_receipt,
    render_receipt,
)
from hypothesis import given
from hypothesis import strategies as st

FIXTURE = Path(__file__).parents[3] / "fixtures" / "receipt-1.jsonl"

HEADER = Header(
    generation="0003-0123456789ab",
    content_id="0123456789ab" + "0" * 52,
    name="my_env",
    prefix="/opt/envs/my_env",
    bytecode=True,
    uid=0,
    gid=1000,
    created="2026-11-22T10:00:00Z",
    by="ada@controller",
)
ITEMS = [
    Item("bin", "dir", "", 0, 0o755, 0, 1000, "", False),
    Item("bin/tool", "file", "a" * 64, 12, 0o755, 0, 1000, "", False, "tool"),
    Item("caf\udce9\n", "file", "b" * 64, 0, 0o644, 0, 1000, "", False),
    Item("lib/__pycache__/x.cpython-311.pyc", "file", "c" * 64, 1, 0o644, 0, 1000, "", True),
    Item("lib/libx.so", "link", "", 0, 0o777, 0, 1000, "libx.so.1", False),
]


def rendered(header: Header, items: t.Iterable[Item]) -> bytes:
    return b"".join(render_receipt(header, items))


def test_receipts_of_format_1_are_read() -> None:
    receipt = parse_receipt(FIXTURE.read_bytes(), "receipts/x")
    assert receipt.header == HEADER
    assert receipt.items == {item.path: item for item in ITEMS}


def test_what_is_rendered_is_parsed_again_and_sorted() -> None:
    assert rendered(HEADER, reversed(ITEMS)) == FIXTURE.read_bytes()


def test_the_header_alone_is_read_from_the_first_line() -> None:
    assert parse_header(FIXTURE.read_bytes().splitlines()[0], "receipts/x") == HEADER


def test_a_receipt_may_be_of_nothing() -> None:
    assert parse_receipt(rendered(HEADER, []), "receipts/x").items == {}


@pytest.mark.parametrize("parse", [parse_header, parse_receipt])
def test_a_newer_format_is_refused_saying_so(parse: t.Callable[[bytes, str], object]) -> None:
    with pytest.raises(BundleError) as caught:
        parse(b'{"format": 2, "all": "else is unknown"}', "receipts/x")
    assert str(caught.value) == (
        "the receipt receipts/x has format 2, this collection reads up to 1; upgrade airgap.conda here"
    )


def refused(text: bytes) -> bool:
    """Whether *text* is refused, in one line; any other exception goes through."""
    try:
        parse_receipt(text, "receipts/x")
    except BundleError as error:
        assert str(error).startswith("receipts/x: the receipt is damaged (")
        assert "\n" not in str(error)
        return True
    return False


WRONG: tuple[t.Any, ...] = (None, True, 5, 1.5, "x", [], {}, {"x": 5})


@pytest.mark.parametrize("name", ["format", *Header._fields])
def test_a_header_field_that_is_missing_or_of_a_wrong_type_is_damage(name: str) -> None:
    head, body = FIXTURE.read_bytes().split(b"\n", 1)
    fields = json.loads(head)
    for wrong in WRONG:
        if type(wrong) is not type(fields[name]):
            assert refused(json.dumps({**fields, name: wrong}).encode() + b"\n" + body), wrong
    del fields[name]
    assert refused(json.dumps(fields).encode() + b"\n" + body)


@pytest.mark.parametrize("column", range(len(Item._fields)), ids=Item._fields)
def test_an_item_field_that_is_missing_or_of_a_wrong_type_is_damage(column: int) -> None:
    head, first, *_rest = FIXTURE.read_bytes().splitlines()
    row = json.loads(first)
    for wrong in WRONG:
        if type(wrong) is not type(row[column]):
            damaged = [*row[:column], wrong, *row[column + 1 :]]
            assert refused(head + b"\n" + json.dumps(damaged).encode() + b"\n"), wrong
    assert refused(head + b"\n" + json.dumps(row[:column] + row[column + 1 :]).encode() + b"\n")


@pytest.mark.parametrize("row", [b"{}", b'{"0": 1}', b"5", b"null", b'"bin"', b"[]", b'["bin"]', b"[1], [2]", b"\xff"])
def test_a_line_that_is_no_item_is_damage(row: bytes) -> None:
    head = FIXTURE.read_bytes().splitlines()[0]
    assert refused(head + b"\n" + row + b"\n")


def test_a_receipt_cut_within_a_line_is_damage() -> None:
    whole = FIXTURE.read_bytes()
    ends = [at for at, byte in enumerate(whole) if byte == 10]
    for length in range(len(whole)):
        if length not in ends and length - 1 not in ends:
            assert refused(whole[:length]), length


@given(st.binary(min_size=1, max_size=10), st.integers(0, 1200))
def test_a_damaged_receipt_is_read_or_refused(garbage: bytes, at: int) -> None:
    whole = FIXTURE.read_bytes()
    damaged = whole[:at] + garbage + whole[at + len(garbage) :]
    try:
        receipt = parse_receipt(damaged, "receipts/x")
    except BundleError as error:
        assert "\n" not in str(error)
    else:
        assert parse_receipt(rendered(receipt.header, receipt.items.values()), "x") == receipt
