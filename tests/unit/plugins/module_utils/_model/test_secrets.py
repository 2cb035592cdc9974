# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._model.secrets import credentials, mask, without_credentials

TOKEN = "https://conda.example.com/t/tk-1/chan"
LOGIN = "https://ann:s3cret@example.com/chan"


@pytest.mark.parametrize(
    ("text", "masked", "bare"),
    [
        (TOKEN, "https://conda.example.com/t/***/chan", "https://conda.example.com/chan"),
        (LOGIN, "https://***@example.com/chan", "https://example.com/chan"),
        ("https://tk@example.com/chan", "https://***@example.com/chan", "https://example.com/chan"),
        ("https://a:p@ss@example.com/chan", "https://***@example.com/chan", "https://example.com/chan"),
        ("ssh://git@example.com/chan", "ssh://git@example.com/chan", "ssh://git@example.com/chan"),
        ("file:///srv/chan", "file:///srv/chan", "file:///srv/chan"),
        ("pkg @ https://example.com/p@1.0.whl", "pkg @ https://example.com/p@1.0.whl", None),
    ],
)
def test_mask_and_strip(text: str, masked: str, bare: str | None) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked
    if bare:
        assert without_credentials(text) == bare


def test_every_address_of_a_text_is_masked() -> None:
    assert mask(f"tried {TOKEN} and {LOGIN}: no") == (
        "tried https://conda.example.com/t/***/chan and https://***@example.com/chan: no"
    )


def test_credentials_are_found() -> None:
    assert credentials(f"{TOKEN}\n{LOGIN}") == {"tk-1", "ann:s3cret", "s3cret"}
