# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment files of every shape that people have, with what comes of each in fixtures/specs/outcomes.json."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder.requirements import (
    requirement_files,
    requirements,
)
from ansible_collections.airgap.conda.plugins.module_utils._builder.spec_file import decoded, parse_spec
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import SpecError

SPECS = Path(__file__).parents[3] / "fixtures/specs"
FILES = sorted(path.name for path in SPECS.iterdir() if path.suffix in (".spec", ".list"))
OUTCOMES: dict[str, dict[str, t.Any]] = json.loads((SPECS / "outcomes.json").read_text(encoding="utf-8"))


def read(path: str) -> str:
    return decoded(Path(path).read_bytes(), path)


def outcome(path: Path) -> dict[str, t.Any]:
    """What a person gets to know of the file."""
    try:
        spec = parse_spec(read(str(path)), str(path), "linux-64")
        files = requirement_files(spec.pip, str(path), read)
    except SpecError as error:
        return {"refused": str(error)}
    found = {
        "name": spec.name,
        "channels": list(spec.channels),
        "dependencies": [item.text for item in spec.dependencies],
        "pip": list(requirements(files)),
        "includes": [file.path for file in files[1:]],
        "variables": dict(spec.variables),
        "warnings": list(spec.warnings),
        "explicit": spec.explicit,
    }
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("name", FILES)
def test_every_file_gives_what_the_table_says(name: str) -> None:
    found = json.loads(json.dumps(outcome(SPECS / name)).replace(f"{SPECS}/", ""))
    assert found == OUTCOMES[name]
    assert "\n" not in found.get("refused", "")


def test_the_table_is_of_these_files(count: t.Callable[[str, int], None]) -> None:
    assert sorted(OUTCOMES) == FILES
    assert len(FILES) >= 60
    refused = sum("refused" in outcome for outcome in OUTCOMES.values())
    count("specs parsed and taken", len(FILES) - refused)
    count("specs parsed and refused", refused)


PLAIN = "name: größe\nchannels: [c]\ndependencies:\n  - python\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.rstrip("\n").encode(),
    ],
)
def test_marks_and_line_ends_do_not_matter(data: bytes) -> None:
    spec = parse_spec(decoded(data, "e.yml"), "e.yml", "linux-64")
    assert (spec.name, [item.text for item in spec.dependencies]) == ("größe", ["python"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PLAIN.encode("latin-1"), "e.yml:1: is not UTF-8 (byte 0xf6); save it as UTF-8"),
        (b"name: a\ndependencies:\n  - caf\xe9\n", "e.yml:3: is not UTF-8 (byte 0xe9); save it as UTF-8"),
        (PLAIN.encode("utf-16"), "e.yml: is UTF-16, as some editors save it; save it as UTF-8"),
        (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "e.yml: is UTF-16, as some editors save it; save it as UTF-8"),
    ],
)
def test_other_encodings_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as error:
        decoded(data, "e.yml")
    assert str(error.value) == message
