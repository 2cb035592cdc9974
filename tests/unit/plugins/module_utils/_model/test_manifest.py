# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BundleError
from ansible_collections.airgap.conda.plugins.module_utils._model.files import is_a
from ansible_collections.airgap.conda.plugins.module_utils._model.manifest import (
    Encoding,
    Manifest,
    Needs,
    Piece,
    parse_manifest,
    render_manifest,
)
from ansible_collections.airgap.conda.plugins.module_utils._model.packages import PIP, Package
from hypothesis import given
from hypothesis import strategies as st

FIXTURE = Path(__file__).parents[3] / "fixtures" / "manifest-1.json"

MANIFEST = Manifest(
    name="my_env",
    content_id=hashlib.sha256(b"files").hexdigest(),
    needs=Needs("linux-64", "2.17", "", 255, 1234567, 89, "lib/libz.so.1", "lib/x.py"),
    files=Piece("files.jsonl.gz", 5, hashlib.sha256(b"gzip").hexdigest()),
    tar_sha256=hashlib.sha256(b"tar").hexdigest(),
    tar_size=10240,
    encodings=(Encoding("zstd", "1.5.7", 6, Piece("archive.tar.zst", 7, hashlib.sha256(b"zstd").hexdigest())),),
    packages=(
        Package("attrs", "23.1.0", manager=PIP, licence="MIT"),
        Package("pandas", "1.5.3", "py311_0", "conda-forge", licence="BSD-3-Clause"),
    ),
    carriers=("bin/activate", "bin/conda-unpack"),
    created="2026-11-22T10:00:00Z",
    spec_sha256=hashlib.sha256(b"spec").hexdigest(),
)


def test_manifests_of_format_1_are_read() -> None:
    assert parse_manifest(FIXTURE.read_bytes(), "dist/x") == MANIFEST


def test_what_is_rendered_is_parsed_again() -> None:
    assert render_manifest(MANIFEST) == FIXTURE.read_bytes()


def test_a_label_is_name_platform_and_the_beginning_of_the_content_id() -> None:
    assert MANIFEST.label == f"my_env-linux-64-{MANIFEST.content_id[:12]}"


def test_a_newer_format_is_refused_saying_so() -> None:
    newer = {"format": 2, "all": "else is unknown"}
    with pytest.raises(BundleError) as caught:
        parse_manifest(json.dumps(newer).encode(), "dist/x")
    assert str(caught.value) == (
        "the bundle dist/x has format 2, this collection reads up to 1; upgrade airgap.conda here"
    )


def refused(text: bytes) -> bool:
    """Whether *text* is refused, in one line; any other exception goes through."""
    try:
        parse_manifest(text, "dist/x")
    except BundleError as error:
        assert str(error).startswith("dist/x: the manifest is damaged (")
        assert "\n" not in str(error)
        return True
    return False


#: Where a value is in the manifest.
Place = t.Tuple[t.Union[str, int], ...]


def places(value: t.Any, above: Place = ()) -> t.Iterator[Place]:
    """Yield where each value is."""
    if above:
        yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from places(below, (*above, key))


def holder_of(fields: t.Any, place: Place) -> t.Any:
    """Return what holds the value at *place*."""
    for key in place[:-1]:
        fields = fields[key]
    return fields


def with_value(place: Place, value: t.Any) -> bytes:
    """Return the fixture with *value* at *place*, written by hand."""
    fields = json.loads(FIXTURE.read_text())
    if place != ("digest",):
        del fields["digest"]
    holder_of(fields, place)[place[-1]] = value
    return json.dumps(fields).encode()


ALL = sorted(places(json.loads(FIXTURE.read_text())), key=str)

#: What came later, or may be missing where it was written by hand.
OPTIONAL = [("digest",), ("needs", "narrowest"), ("needs", "prefix"), ("needs", "quoting")]
#: A package's build, channel, manager and licence may be missing, so that older manifests can be read.
REQUIRED = [
    place
    for place in ALL
    if isinstance(place[-1], str) and place[-1] not in Package("", "").to_json() and place not in OPTIONAL
] + [
    ("name",),
    ("packages", 0, "name"),
    ("packages", 0, "version"),
]


@pytest.mark.parametrize("place", REQUIRED, ids=str)
def test_a_missing_field_is_damage(place: Place) -> None:
    fields = json.loads(FIXTURE.read_text())
    del fields["digest"], holder_of(fields, place)[place[-1]]
    assert refused(json.dumps(fields).encode())


@pytest.mark.parametrize("place", ALL, ids=str)
def test_a_field_of_a_wrong_type_is_damage(place: Place) -> None:
    right = holder_of(json.loads(FIXTURE.read_text()), place)[place[-1]]
    for wrong in (None, True, 5, 1.5, "x", [5], {"x": 5}):
        if type(wrong) is not type(right) or wrong in ([5], {"x": 5}):
            assert refused(with_value(place, wrong)), wrong


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("format",), 0),
        (("format",), True),
        (("name",), "../x"),
        (("name",), ".hidden"),
        (("name",), "a b"),
        (("name",), "x\n"),
        (("content_id",), "0" * 63),
        (("content_id",), "0" * 64 + "\n"),
        (("tar", "sha256"), "G" * 64),
        (("tar", "size"), -1),
        (("encodings",), []),
        (("encodings", 0, "codec"), "xz"),
        (("encodings", 0, "piece", "file"), "../archive"),
        (("encodings", 0, "piece", "file"), ".."),
        (("encodings", 0, "piece", "file"), ""),
        (("encodings", 0, "piece", "sha256"), "0"),
        (("encodings", 0, "piece", "size"), -1),
        (("files", "file"), "a/b"),
        (("files", "file"), "a\0"),
        (("needs", "platform"), "../linux"),
        (("needs", "size"), -1),
        (("needs", "inodes"), -1),
        (("needs", "prefix_max"), -1),
    ],
)
def test_unusable_values_are_damage(place: Place, wrong: t.Any) -> None:
    assert refused(with_value(place, wrong))


@pytest.mark.parametrize("place", OPTIONAL, ids=str)
def test_what_came_later_may_be_missing(place: Place) -> None:
    fields = json.loads(FIXTURE.read_text())
    del fields["digest"]
    if place != ("digest",):
        del holder_of(fields, place)[place[-1]]
    assert not refused(json.dumps(fields).encode())


def test_a_changed_bit_is_damage_wherever_it_is() -> None:
    whole = FIXTURE.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            with contextlib.suppress(BundleError):
                parse_manifest(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :], "dist/x")
                pytest.fail(f"bit {bit} of byte {at}")


def test_what_nobody_wrote_is_damage() -> None:
    assert refused(with_value(("extra",), 1))
    assert refused(b"[" * 100_000)
    assert refused(b" " * (1 << 26) + FIXTURE.read_bytes())
    assert refused(with_value(("needs", "size"), 1 << 70))
    assert refused(with_value(("packages", 0, "name"), "\ud800"))


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"null", b"5", b'"format"', b"[]", b"{}", b'{"format": "1"}'])
def test_what_is_no_manifest_is_damage(text: bytes) -> None:
    assert refused(text)


def test_a_cut_manifest_is_damage_wherever_it_is_cut() -> None:
    whole = FIXTURE.read_bytes().rstrip()
    assert all(refused(whole[:length]) for length in range(len(whole)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(ALL), json_values)
def test_whatever_is_put_anywhere_is_read_or_refused(place: Place, value: t.Any) -> None:
    text = with_value(place, value)
    if not (place == ("format",) and is_a(value, int) and value > 1) and not refused(text):
        assert parse_manifest(render_manifest(parse_manifest(text, "x")), "x") == parse_manifest(text, "x")
