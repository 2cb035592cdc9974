# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.airgap.conda.plugins.module_utils._builder import condarc
from ansible_collections.airgap.conda.plugins.module_utils._builder.channels import DEFAULTS
from ansible_collections.airgap.conda.plugins.module_utils._builder.condarc import Document
from ansible_collections.airgap.conda.plugins.module_utils._model.errors import BuildError


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_files_are_found_in_the_order_of_conda(tmp_path: Path) -> None:
    """As conda's SEARCH_PATH has it; what counts least comes first."""
    places = [
        *("root/.condarc", "root/condarc.d/a.yml", "root/condarc.d/b.yaml"),
        *("xdg/conda/condarc", "home/.config/conda/.condarc", "home/.conda/condarc", "home/.conda/condarc.d/x.yml"),
        *("home/.condarc", "prefix/.condarc", "given.yml"),
    ]
    expected = [write(tmp_path / place, "") for place in places]
    write(tmp_path / "home/.conda/condarc.d/README", "")
    environ = {
        "HOME": f"{tmp_path}/home",
        "XDG_CONFIG_HOME": f"{tmp_path}/xdg",
        "CONDA_EXE": f"{tmp_path}/root/bin/conda",
        "CONDA_PREFIX": f"{tmp_path}/prefix",
        "CONDARC": f"{tmp_path}/given.yml",
    }
    found = [path for path in condarc.search_path(environ) if path.startswith(str(tmp_path))]
    assert found == expected
    del environ["CONDARC"], environ["CONDA_EXE"], environ["XDG_CONFIG_HOME"], environ["CONDA_PREFIX"]
    found = [path for path in condarc.search_path(environ) if path.startswith(str(tmp_path))]
    assert [os.path.relpath(path, tmp_path) for path in found] == places[4:8]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([{"channel_alias": "https://a"}, {"channel_alias": "https://b"}], {"channel_alias": "https://b"}),
        ([{"channels": ["a", "b"]}, {"channels": ["c", "a"]}], {"channels": ["c", "a", "b"]}),
        (
            [{"custom_channels": {"a": "1", "b": "2"}}, {"custom_channels": {"b": "3"}}],
            {"custom_channels": {"a": "1", "b": "3"}},
        ),
        ([{"ssl_verify": "/ca.pem"}, {"ssl_verify": None}], {"ssl_verify": "/ca.pem"}),
        ([{"ssl_verify": "/ca.pem"}, {"ssl_verify": False}], {"ssl_verify": False}),
    ],
)
def test_what_files_say_together(documents: list[dict[str, object]], expected: dict[str, object]) -> None:
    assert condarc.merged(map(Document, documents)) == expected


def test_what_is_final_stays() -> None:
    site = Document({"channel_alias": "https://site", "channels": ["a"]}, frozenset({"channel_alias"}))
    user = Document({"channel_alias": "https://other", "channels": ["b"]})
    assert condarc.merged([site, user]) == {"channel_alias": "https://site", "channels": ["b", "a"]}


def test_a_file_is_read_with_its_marks_aliases_and_variables(tmp_path: Path) -> None:
    write(tmp_path / ".conda/condarc", "channel_alias: https://site  #!final\nverify_ssl: /ca.pem\n")
    text = "channel_alias: https://other\ncustom_channels:\n  team: https://ann:${PASSWORD}@$HOST/x$NONE\n"
    write(tmp_path / ".condarc", text)
    environ = {"HOME": str(tmp_path), "PASSWORD": "pw", "HOST": "h", "CONDA_CLIENT_SSL_CERT": "/me.pem"}
    expected = {
        "channel_alias": "https://site",
        "ssl_verify": "/ca.pem",
        "client_ssl_cert": "/me.pem",
        "custom_channels": {"team": "https://ann:pw@h/x$NONE"},
    }
    assert expected.items() <= condarc.read(environ).items()


def test_lists_of_the_environment() -> None:
    assert condarc.from_environment({"CONDA_CHANNELS": "a, b", "CONDA_SSL_VERIFY": "false"}) == {
        "channels": ["a", "b"],
        "ssl_verify": "false",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a: [\n", "while parsing a flow node"), ("- a\n", "it is no mapping"), ("a: \xe9", "codec can't decode")],
)
def test_a_file_that_cannot_be_read_is_named(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / ".condarc"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BuildError) as error:
        condarc.read({"HOME": str(tmp_path)})
    message = str(error.value)
    assert message.startswith(f"conda's configuration in {path} cannot be read: ")
    assert reason in message and "\n" not in message


SETTINGS = {
    "channel_alias": "mirror.example.com/conda/",
    "custom_channels": {"team": "https://h/t/tk-1", "team/lab": "https://lab"},
    "custom_multichannels": {"ours": ["team", "conda-forge", "ours"]},
    "default_channels": ["https://mirror.example.com/main"],
}


@pytest.mark.parametrize(
    ("channel", "urls"),
    [
        ("conda-forge", ["https://mirror.example.com/conda/conda-forge"]),
        ("team", ["https://h/t/tk-1/team"]),
        ("team/label/dev", ["https://h/t/tk-1/team/label/dev"]),
        ("team/lab", ["https://lab/team/lab"]),
        ("teams", ["https://mirror.example.com/conda/teams"]),
        # A name among its own channels is that of a channel.
        (
            "ours",
            [
                "https://h/t/tk-1/team",
                "https://mirror.example.com/conda/conda-forge",
                "https://mirror.example.com/conda/ours",
            ],
        ),
        ("defaults", ["https://mirror.example.com/main"]),
        ("https://elsewhere/x/", ["https://elsewhere/x"]),
    ],
)
def test_what_names_of_channels_mean(channel: str, urls: list[str]) -> None:
    assert list(condarc.channels(SETTINGS).urls([channel], "/")) == urls


def test_without_configuration_names_are_those_of_everybody() -> None:
    assert condarc.channels({}).urls(["defaults", "conda-forge"], "/") == (
        *DEFAULTS,
        "https://conda.anaconda.org/conda-forge",
    )


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, False),
        ({"denylist_channels": ["defaults"]}, False),
        ({"denylist_channels": ["conda-forge"]}, True),
        ({"allowlist_channels": ["conda-forge"]}, False),
        ({"allowlist_channels": ["defaults"]}, True),
        ({"allowlist_channels": ["https://ann:pw@conda.anaconda.org/conda-forge"]}, False),
    ],
)
def test_channels_that_are_not_allowed(settings: dict[str, object], refused: bool) -> None:
    sentence = condarc.refused(settings, ["https://conda.anaconda.org/conda-forge"], "/")
    expected = "conda's configuration does not allow the channel https://conda.anaconda.org/conda-forge"
    assert sentence == (expected if refused else None)
