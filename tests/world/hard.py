# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that are hard to carry, each for one reason or a few that belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .conda_package import PLACEHOLDER, Package

LICENSE = "MIT"
PYTHON_311 = "python >=3.11,<3.12.0a0"
SITE = "lib/python3.11/site-packages"

#: Of every kind that a channel can hold; its metadata is JSON, so that names are text.
ODD_NAMES = (
    "with space",
    "with 'quotes' and \"more\"",
    "with\nnew line",
    "with\ttab and \\ backslash",
    "-r --like options",
    "%s {braces} $HOME `id`",
    "ünïcödé 環境",
    "right-to-left \u202e mark",
    "long-" + "n" * 250,
    "deep/" + "/".join(["d" * 50] * 12) + "/file",
    "__pycache__/not-bytecode.txt",
    ".hidden",
    "trailing dot.",
    "conda-meta/decoy.json",
)

#: Twice in one string, twice in one file, at the end of one, and one that is no path of ours; no text in any encoding.
BINARY = b"\0".join(
    [
        b"\x7fNOT-ELF\x01\x02\xff\xfe",
        f"PATH={PLACEHOLDER}/bin:{PLACEHOLDER}/sbin:/bin".encode(),
        f"{PLACEHOLDER}/share/relocated".encode(),
        PLACEHOLDER.encode(),
        b"/usr/share/relocated",
        b"end",
        b"",
    ]
)

TEXTS = {
    "lib/pkgconfig/relocated.pc": "prefix={}\nlibdir=${{prefix}}/lib\nCflags: -I{}/include\n",
    "lib/cmake/relocated/relocated-config.cmake": 'set(RELOCATED_DIR "{}/lib/cmake/relocated")\n',
    "lib/librelocated.la": "libdir='{}/lib'\ndependency_libs=' -L{}/lib -lz'\n",
    "etc/conda/activate.d/relocated.sh": 'export RELOCATED_HOME="{}/share/relocated"\n',
    "etc/conda/deactivate.d/relocated.sh": "unset RELOCATED_HOME\n",
    "share/relocated/text.conf": "home = {0}\nneighbour = {0}-tools\ntwice = {0}:{0}\n",
    "share/jupyter/kernels/relocated/kernel.json": '{{"argv": ["{}/bin/python", "-m", "ipykernel_launcher"]}}\n',
}

SCRIPTS = {
    "bin/relocated-sh": "#!/bin/sh\necho {}/share/relocated\n",
    # Its first line is longer than the kernel reads wherever the environment lies deep.
    "bin/relocated-awk": "#!{}/bin/relocated-interpreter -f\nthe script\n",
    "bin/relocated-interpreter": '#!/bin/sh\necho "interpreter of {}: $*"\n',
}

PY_SCRIPT = "#!{0}/bin/python3.11 -s\nimport sys\nprint(sys.prefix, '{0}/share', sep='\\n')\n"

MODULE = '"""Knows where it is, other than most."""\n\nHOME = "{0}"\nSHARE = "{0}/share/relocated"\n'

ENTRY_POINTS = ("relocated-entry = relocated_noarch.main:main",)

#: conda's way to let a package do what it likes; rattler runs it only when it is told to.
POST_LINK = """\
#!/bin/sh
set -e
mkdir -p "$PREFIX/etc/post-linked.d" "$PREFIX/var/lib/post-linked/empty"
echo "home = $PREFIX/share/post-linked" > "$PREFIX/etc/post-linked.d/made.conf"
chmod 0444 "$PREFIX/etc/post-linked.d/made.conf"
ln -s "$PREFIX/share/post-linked/data" "$PREFIX/etc/post-linked.d/absolute"
ln -s ../../share/post-linked/data "$PREFIX/etc/post-linked.d/relative"
echo "post-linked says hello from $PREFIX" >> "$PREFIX/.messages.txt"
"""


@dataclass(frozen=True)
class Hard:
    """A package and what lies in it."""

    package: Package
    fill: Callable[[Path], None]
    #: Has Python sources that need to be compiled.
    compiled: bool = False


def _put(tree: Path, path: str, text: str | bytes, mode: int = 0o644) -> Path:
    file = tree / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return file


def _put_all(tree: Path, texts: Mapping[str, str], mode: int = 0o644) -> None:
    for path, text in texts.items():
        _put(tree, path, text.format(PLACEHOLDER, PLACEHOLDER), mode)


def _hard_links(tree: Path) -> None:
    """One inode under several names; conda-pack reads one of them as bytes and adds another as a link."""
    first = _put(tree, "bin/linked-one", f"#!{PLACEHOLDER}/bin/relocated-interpreter\necho {PLACEHOLDER}\n", 0o755)
    os.link(first, tree / "bin/linked-two")
    data = _put(tree, "share/hard-links/data", b"the same bytes\n" * 1000)
    for name in ("again", "and-again"):
        os.link(data, tree / "share/hard-links" / name)
    # What a reader that lost its way would not find.
    _put(tree, "share/zz-after-hard-links", "still here\n")


def _links(tree: Path) -> None:
    _put(tree, "share/links/target", "found\n")
    links = {
        "relative": "target",
        "up-and-down": "../../share/links/target",
        "to-a-directory": "../links",
        "to-the-prefix": "../..",
        "dangling": "nothing-there",
        "absolute": "/etc/hostname",
        "absolute-dangling": "/nonexistent/file",
        "odd target": "with space and 'quotes'",
        "long": "../links/" + "./" * 150 + "target",
        "chain": "relative",
    }
    for name, target in links.items():
        (tree / "share/links" / name).symlink_to(target)


def _odd_names(tree: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        _put(tree, f"share/odd/{name}", f"{number} in {PLACEHOLDER}\n" if number % 2 else f"{number}\n")


def _modes(tree: Path) -> None:
    """Files that their owner may not write, some of which must be written to be right."""
    _put(tree, "share/modes/0444", "read only\n", 0o444)
    _put(tree, "share/modes/0444-text", f"home = {PLACEHOLDER}\n", 0o444)
    _put(tree, "bin/modes-0555", f"#!/bin/sh\necho {PLACEHOLDER}\n", 0o555)
    _put(tree, "lib/modes-0555-binary", BINARY, 0o555)
    _put(tree, "share/modes/empty", b"")


def _relocated(tree: Path) -> None:
    _put_all(tree, TEXTS)
    _put_all(tree, SCRIPTS, 0o755)
    _put(tree, "lib/relocated.bin", BINARY)
    (tree / "share/relocated/large.bin").write_bytes(BINARY * 8000)


def _relocated_python(tree: Path) -> None:
    _put(tree, f"{SITE}/relocated/__init__.py", MODULE.format(PLACEHOLDER))
    _put(tree, f"{SITE}/relocated/plain.py", "PLAIN = True\n")
    _put(tree, f"{SITE}/relocated.pth", f"{PLACEHOLDER}/share/relocated/python\n")
    _put(tree, "bin/relocated-py", PY_SCRIPT.format(PLACEHOLDER), 0o755)


def _relocated_noarch(tree: Path) -> None:
    _put(tree, "site-packages/relocated_noarch/__init__.py", MODULE.format(PLACEHOLDER))
    _put(tree, "site-packages/relocated_noarch/main.py", "def main():\n    import sys\n    print(sys.prefix)\n")
    _put(tree, "python-scripts/relocated-script", PY_SCRIPT.format(PLACEHOLDER).replace("3.11", ""), 0o755)


def _post_linked(tree: Path) -> None:
    _put(tree, "bin/.post-linked-post-link.sh", POST_LINK, 0o755)
    _put(tree, "share/post-linked/data", "data\n")


def _one_note(name: str) -> Callable[[Path], None]:
    def fill(tree: Path) -> None:
        _put(tree, "share/clobbered/note.txt", f"note of {name}\n")
        _put(tree, "share/clobbered/text.conf", f"{name} at {PLACEHOLDER}\n")
        _put(tree, "share/clobbered/same.txt", "the same in both\n")
        _put(tree, f"share/{name}/own.txt", f"{name}\n")

    return fill


def _nothing_but(path: str) -> Callable[[Path], None]:
    def fill(tree: Path) -> None:
        _put(tree, path, f"{path}\n")

    return fill


def _package(name: str, *depends: str, version: str = "1.0", **fields: object) -> Package:
    return Package(name, version, LICENSE, depends, **fields)  # type: ignore[arg-type]


PACKAGES = (
    Hard(_package("hard-links"), _hard_links),
    Hard(_package("links"), _links),
    Hard(_package("odd-names"), _odd_names),
    Hard(_package("modes"), _modes),
    Hard(_package("relocated"), _relocated),
    Hard(_package("post-linked"), _post_linked),
    Hard(_package("clobber-one"), _one_note("clobber-one")),
    Hard(_package("clobber-two"), _one_note("clobber-two")),
    Hard(_package("relocated-noarch", "python", noarch=True, entry_points=ENTRY_POINTS), _relocated_noarch),
    Hard(_package("newer-glibc", "__glibc >=2.99"), _nothing_but("share/newer-glibc/note.txt")),
    Hard(_package("only-windows", version="1.0", build="h1_5", platform="win-64"), _nothing_but("Library/only.txt")),
    Hard(_package("only-windows", version="0.9", build="h0_0"), _nothing_but("share/only.txt")),
    Hard(_package("relocated-python", PYTHON_311), _relocated_python, compiled=True),
)

#: What an environment with all of it asks for; the two that overwrite each other are no part of it.
CARRIED = ("hard-links", "links", "odd-names", "modes", "relocated", "post-linked")
CARRIED_PYTHON = ("relocated-python", "relocated-noarch")
