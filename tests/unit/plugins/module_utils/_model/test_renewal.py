# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import typing as t

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.files import CONDA_META, WHEEL_RECORD
from ansible_collections.airgap.conda.plugins.module_utils._model.renewal import Digest, render_conda_meta, renew
from hypothesis import example, given
from hypothesis import strategies as st

NEW = Digest(hashlib.sha256(b"relocated").hexdigest(), 9)
#: As RECORD has it.
NEW_VALUE = base64.urlsafe_b64encode(bytes.fromhex(NEW.sha256)).rstrip(b"=").decode()

RECORD = "lib/python3.11/site-packages/x-1.dist-info/RECORD"
SITE = "lib/python3.11/site-packages"


def conda_meta(*paths: dict[str, str]) -> bytes:
    return render_conda_meta({"name": "x", "paths_data": {"paths": list(paths), "paths_version": 1}})


def test_conda_meta_states_the_new_digest_of_what_was_relocated() -> None:
    stated = {"_path": "bin/x", "sha256": "1", "sha256_in_prefix": "2"}
    other = {"_path": "bin/y", "sha256": "3", "sha256_in_prefix": "4"}
    renewed = renew(CONDA_META, conda_meta(stated, other), "conda-meta/x.json", {"bin/x": NEW})
    assert renewed == conda_meta({**stated, "sha256_in_prefix": NEW.sha256}, other)


@pytest.mark.parametrize(
    "text",
    [
        b'{"paths_data":{"paths":[{"_path":"bin/x","sha256_in_prefix":"2"}]},"odd":1}',
        conda_meta({"_path": "bin/x", "sha256_in_prefix": "\\"}),
        b'{"a": {"sha256_in_prefix": "2"}, ' + conda_meta({"_path": "bin/x", "sha256_in_prefix": "2"})[1:],
    ],
)
def test_conda_meta_of_another_form_is_renewed_alike(text: bytes) -> None:
    record = json.loads(text)
    record["paths_data"]["paths"][0]["sha256_in_prefix"] = NEW.sha256
    assert renew(CONDA_META, text, "conda-meta/x.json", {"bin/x": NEW}) == render_conda_meta(record)


words = st.text(st.sampled_from('"\\: ax_\u00e9'), max_size=9) | st.just('"sha256_in_prefix": "2"')


@given(st.dictionaries(words, st.tuples(words, st.booleans()), max_size=5), words)
@example({'"sha256_in_prefix": "2"': ('"sha256_in_prefix": "2"', True)}, '"sha256_in_prefix": "2"')
def test_only_what_is_stated_of_what_was_relocated_changes(paths: dict[str, tuple[str, bool]], note: str) -> None:
    def record(new: dict[str, str]) -> bytes:
        rows = [{"_path": path, "sha256_in_prefix": new.get(path, old)} for path, (old, _new) in paths.items()]
        return render_conda_meta({"note": note, "paths_data": {"paths": rows}})

    relocated = [path for path, (_old, new) in paths.items() if new]
    renewed = renew(CONDA_META, record({}), "conda-meta/x.json", dict.fromkeys(relocated, NEW))
    assert renewed == record(dict.fromkeys(relocated, NEW.sha256))


@pytest.mark.parametrize(
    "text",
    [
        b'{"paths_data": {"paths": [{"_path": "bin/y", "sha256_in_prefix": "4"}]},\n "odd":1}',
        b'{"paths_data": {"paths": [{"_path": "bin/x"}]}}',
        b'{"paths_data": {}}',
        b'{"paths_data": null}',
        b"{}",
    ],
)
def test_conda_meta_that_states_nothing_of_it_stays_byte_for_byte(text: bytes) -> None:
    assert renew(CONDA_META, text, "conda-meta/x.json", {"bin/x": NEW}) == text


def test_conda_meta_is_as_conda_writes_it() -> None:
    record = {"b": "caf\u00e9", "a": [1]}
    assert render_conda_meta(record) == b'{\n  "a": [\n    1\n  ],\n  "b": "caf\\u00e9"\n}\n'
    assert json.loads(render_conda_meta(record)) == record


def renewed_record(text: str, **digests: Digest) -> str:
    """Renew a RECORD; keys of *digests* are paths below the prefix, with __ for a slash."""
    known = {path.replace("__", "/"): digest for path, digest in digests.items()}
    return renew(WHEEL_RECORD, text.encode("utf-8", "surrogateescape"), RECORD, known).decode(
        "utf-8", "surrogateescape"
    )


@pytest.mark.parametrize(
    ("line", "renewed"),
    [
        ("../../../bin/x,sha256=old,5\n", f"../../../bin/x,sha256={NEW_VALUE},9\n"),
        ("../../../bin/x,sha256=old,5\r\n", f"../../../bin/x,sha256={NEW_VALUE},9\r\n"),
        ("../../../bin/x,sha256=old,5", f"../../../bin/x,sha256={NEW_VALUE},9"),
        ("../../../bin/x,md5=old,5\n", f"../../../bin/x,sha256={NEW_VALUE},9\n"),
        ('"../../../bin/x",sha256=old,5\n', f"../../../bin/x,sha256={NEW_VALUE},9\n"),
        ("../../../bin/x,,\n", "../../../bin/x,,\n"),
        ("../../../bin/y,sha256=old,5\n", "../../../bin/y,sha256=old,5\n"),
        ("../../../bin/x,sha256=old\n", "../../../bin/x,sha256=old\n"),
        ("\n", "\n"),
        ("", ""),
    ],
)
def test_a_line_of_a_wheels_record(line: str, renewed: str) -> None:
    assert renewed_record(line, bin__x=NEW) == renewed


def test_names_with_commas_and_quotes_stay_quoted() -> None:
    line = '"a ""b"", c.py",sha256=old,5\r\n'
    found = renew(WHEEL_RECORD, line.encode(), RECORD, {f'{SITE}/a "b", c.py': NEW})
    assert found.decode() == f'"a ""b"", c.py",sha256={NEW_VALUE},9\r\n'


names = st.text(st.sampled_from("ab,\"' \u2028\x85\x0c\x1c\udce9é\t/."), min_size=1, max_size=6)
rows = st.lists(st.tuples(names, st.sampled_from(["", "sha256=old"]), st.booleans()), max_size=5)


def written(found: t.Iterable[t.Sequence[str]], end: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator=end).writerows(found)
    return out.getvalue().encode("utf-8", "surrogateescape")


@given(rows, st.sampled_from(["\n", "\r\n"]))
@example([("a\u2028b", "sha256=old", True), ("b", "sha256=old", False)], "\n")
def test_a_record_is_renewed_as_reading_and_writing_it_whole_would(rows: list[tuple[str, str, bool]], end: str) -> None:
    plain = [(name.replace("/", "").replace(".", "") or "x", value, known) for name, value, known in rows]
    digests = {f"{SITE}/{name}": NEW for name, _value, known in plain if known}
    text = written(((name, value, "5" if value else "") for name, value, _known in plain), end)
    expected = (
        (name, f"sha256={NEW_VALUE}", "9")
        if f"{SITE}/{name}" in digests and value
        else (name, value, "5" if value else "")
        for name, value, _known in plain
    )
    assert renew(WHEEL_RECORD, text, RECORD, digests) == written(expected, end)
