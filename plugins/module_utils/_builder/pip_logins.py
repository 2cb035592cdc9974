# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Logins in the addresses that pip gets: taken out, and given to it in a file and in variables instead.

pip starts other programs, itself for one, with its addresses on their command lines, which everybody can read.
"""

from __future__ import annotations

import ast
import base64
import os
import re
import typing as t
import urllib.parse

#: Settings of pip that take addresses.
_OPTIONS = ("index-url", "extra-index-url", "find-links")
#: The later counts more.
_SECTIONS = ("global", "install", ":env:")
_LOGIN = re.compile(
    r"(?P<scheme>(?:git\+)?https?://)(?P<login>[^/\s'\"]+)@(?P<place>(?P<host>[^/\s:'\"]+)[^\s'\"@#;]*)"
)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SETTING = re.compile(r"(?P<section>\S+?)\.(?P<option>[a-z-]+)=(?P<value>'.*'|\".*\")")


class Logins:
    """Collects logins while it takes them out of texts."""

    def __init__(self, inherited: t.Mapping[str, str], quotes: bool) -> None:
        """*quotes*: whether the environment's Python knows quotation marks in such a file; 3.11 and newer do."""
        self._inherited = inherited
        self._quotes = quotes
        self._hosts: dict[str, tuple[str, str]] = {}
        self._repositories: dict[str, str] = {}

    def taken_out(self, text: str) -> str:
        """Return *text* without those logins that can be given in another way, which are nearly all.

        The file knows one login for each host, so a second one stays where it is.
        """
        return _LOGIN.sub(self._take, text)

    def settings(self, listed: str) -> dict[str, str]:
        """Return what replaces those settings of pip that hold logins; *listed* is what C(pip config list) prints."""
        found: dict[str, tuple[int, str]] = {}
        for line in listed.splitlines():
            setting = _SETTING.fullmatch(line.strip())
            if setting and setting["option"] in _OPTIONS and setting["section"] in _SECTIONS:
                rank = _SECTIONS.index(setting["section"])
                value = " ".join(str(ast.literal_eval(setting["value"])).split())
                if rank >= found.get(setting["option"], (0, ""))[0]:
                    found[setting["option"]] = (rank, value)
        edited = {option: self.taken_out(value) for option, (_rank, value) in found.items()}
        return {_variable(option): value for option, value in edited.items() if value != found[option][1]}

    def netrc(self) -> str:
        """Return the file for pip: the user's own, then what was taken out."""
        machines = (
            f"machine {host} login {_quoted(user)} password {_quoted(password)}\n"
            for host, (user, password) in self._hosts.items()
        )
        return f"{self._own()}\n{''.join(machines)}"

    def variables(self) -> dict[str, str]:
        """Return the variables that let git into the repositories."""
        given = {}
        if self._repositories:
            at = int(self._inherited.get("GIT_CONFIG_COUNT") or 0)
            given["GIT_CONFIG_COUNT"] = str(at + len(self._repositories))
            for number, (address, login) in enumerate(self._repositories.items(), at):
                given[f"GIT_CONFIG_KEY_{number}"] = f"http.{address}.extraHeader"
                encoded = base64.b64encode(login.encode()).decode()
                given[f"GIT_CONFIG_VALUE_{number}"] = f"Authorization: Basic {encoded}"
        return given

    def _take(self, found: t.Match[str]) -> str:
        user, _colon, password = map(urllib.parse.unquote, self._expanded(found["login"]).partition(":"))
        bare = f"{found['scheme']}{found['place']}"
        if found["scheme"].startswith("git+"):
            address = bare[len("git+") :].partition("@")[0]
            self._repositories[address] = f"{user}:{password}"
            return bare
        can_stand = self._can_stand(user) and self._can_stand(password)
        if can_stand and self._hosts.setdefault(found["host"], (user, password)) == (user, password):
            return bare
        return found[0]

    def _expanded(self, login: str) -> str:
        """Put in variables, as pip does."""
        return _VARIABLE.sub(lambda found: self._inherited.get(found[1], found[0]), login)

    def _can_stand(self, text: str) -> bool:
        return self._quotes or text == _quoted(text)

    def _own(self) -> str:
        path = self._inherited.get("NETRC") or os.path.expanduser("~/.netrc")
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return ""


def _quoted(text: str) -> str:
    if re.fullmatch(r"[^\s\"\\#][^\s\"\\]*", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _variable(option: str) -> str:
    return f"PIP_{option.upper().replace('-', '_')}"
