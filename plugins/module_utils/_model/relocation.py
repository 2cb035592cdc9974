# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_utils is PRIVATE to the collection and should only be used by the collection itself.

"""Relocation: make bytes that carry a placeholder carry the prefix. Pure, streaming, standard library only.

The rules are conda's (its C(core/portability.py) says them): text is replaced as it stands; in binaries the string that
holds the placeholder keeps its length, padded with NUL bytes; a shebang that the kernel would cut is rewritten.
This file is also the body of C(bin/conda-unpack) in an archive, so it imports nothing of the collection.
"""

from __future__ import annotations

import re
import typing as t

#: Longest first line of a script that every Linux runs whole, in bytes (conda's constant).
SHEBANG_MAX = 127

#: Longest string that is followed to its end inside a binary, in bytes.
STRING_MAX = 1 << 20

#: Set in the type of what marshal refers back to.
_REFERENCE = 0x80

Chunks = t.Iterable[bytes]


def relocate(chunks: Chunks, relocations: t.Iterable[tuple[str, str]], prefix: str) -> Chunks:
    """Yield *chunks* with each (placeholder, 'text', 'binary' or 'bytecode') of *relocations* replaced by *prefix*.

    Raise C(ValueError) where a binary cannot hold the prefix.
    """
    new = prefix.encode("utf-8", "surrogateescape")
    for placeholder, mode in relocations:
        old = placeholder.encode("utf-8", "surrogateescape")
        if mode == "binary":
            chunks = replace_binary(chunks, old, new)
        elif mode == "bytecode":
            chunks = replace_bytecode(chunks, old, new)
        else:
            chunks = fit_shebang(replace_text(chunks, old, new), new)
    return chunks


def replace_text(chunks: Chunks, old: bytes, new: bytes) -> t.Iterator[bytes]:
    """Yield *chunks* with every *old* replaced by *new*, wherever the chunks are cut."""
    keep = len(old) - 1
    tail = b""
    for chunk in chunks:
        *whole, rest = (tail + chunk).split(old)
        for piece in whole:
            yield piece + new
        cut = max(0, len(rest) - keep)
        yield rest[:cut]
        tail = rest[cut:]
    yield tail


def replace_binary(chunks: Chunks, old: bytes, new: bytes) -> t.Iterator[bytes]:
    """Yield *chunks* with every *old* replaced by *new*, each NUL-terminated string keeping its length."""
    if len(new) > len(old):
        raise ValueError(f"the prefix has {len(new)} bytes, a binary has room for {len(old)}")
    pattern = re.compile(re.escape(old) + rb"[^\0]*\0")
    keep = len(old) - 1
    tail = b""
    for chunk in chunks:
        data = tail + chunk
        done = 0
        for match in pattern.finditer(data):
            yield data[done : match.start()]
            yield _padded(match.group(), old, new)
            done = match.end()
        # Never in what was replaced: with what follows, the prefix may look like the placeholder.
        unfinished = data.find(old, done)
        if unfinished >= 0 and len(data) - unfinished > STRING_MAX:
            raise ValueError(f"a string that holds the placeholder is longer than {STRING_MAX} bytes")
        cut = unfinished if unfinished >= 0 else max(done, len(data) - keep)
        yield data[done:cut]
        tail = data[cut:]
    if old in tail:
        raise ValueError("a string that holds the placeholder has no end")
    yield tail


def _padded(string: bytes, old: bytes, new: bytes) -> bytes:
    replaced = string.replace(old, new)
    return replaced + b"\0" * (len(string) - len(replaced))


def replace_bytecode(chunks: Chunks, old: bytes, new: bytes) -> t.Iterator[bytes]:
    """Yield compiled Python with every string that begins with *old* beginning with *new*, of the length it then has.

    Such are the paths of sources. Their form is that of CPython's C(marshal.c): a type, a length, the bytes. Held in
    memory as a whole; the largest have a few MB.
    """
    data = b"".join(chunks)
    done, at = 0, data.find(old)
    while at >= 0:
        head = _string_head(data, at, len(old))
        if head is not None:
            begins, kind, size = head
            yield data[done:begins] + _marshal_head(kind, size - len(old) + len(new), new.isascii()) + new
            done = at + len(old)
        at = data.find(old, at + len(old))
    yield data[done:]


def _string_head(data: bytes, at: int, least: int) -> tuple[int, int, int] | None:
    """Return where the string that begins at *at* has its head, its type and its size; None where none begins."""
    if at >= 5 and data[at - 5] & ~_REFERENCE in b"aAuts":
        size = int.from_bytes(data[at - 4 : at], "little")
        if least <= size <= len(data) - at:
            return at - 5, data[at - 5], size
    if at >= 2 and data[at - 2] & ~_REFERENCE in b"zZ" and data[at - 1] >= least:
        return at - 2, data[at - 2], data[at - 1]
    return None


def _marshal_head(kind: int, size: int, ascii_only: bool) -> bytes:
    """Return the head of a string of *size* bytes; the short forms have no room for more, the ASCII ones for others."""
    forms = {b"z"[0]: b"a", b"Z"[0]: b"A"} if ascii_only else dict(zip(b"zaZA", (b"u", b"u", b"t", b"t")))
    plain = kind & ~_REFERENCE
    form = forms.get(plain, bytes([plain]))[0] | kind & _REFERENCE
    return bytes([form]) + size.to_bytes(4, "little")


def fit_shebang(chunks: Chunks, prefix: bytes) -> t.Iterator[bytes]:
    """Yield *chunks*; a first line that starts a script with a program of *prefix* becomes one that the kernel runs."""
    head = b""
    rest = iter(chunks)
    for chunk in rest:
        head += chunk
        if b"\n" in head or not b"#!".startswith(head[:2]) or len(head) > STRING_MAX:
            break
    if head.startswith(b"#!"):
        line, newline, body = head.partition(b"\n")
        head = short_shebang(line, prefix) + newline + body
    yield head
    yield from rest


def short_shebang(line: bytes, prefix: bytes) -> bytes:
    """Return *line*, or the form conda gives it when it is longer than the kernel reads or the prefix has spaces.

    A Python script starts itself again through C(/bin/sh), by its absolute path; others through C(env), which, other
    than in conda, is told to split what the kernel gives it as one argument.
    """
    program = line[2:].lstrip(b" ")
    if not program.startswith(prefix) or (len(line) <= SHEBANG_MAX and b" " not in prefix):
        return line
    below, space, options = program[len(prefix) :].partition(b" ")
    name = below.rpartition(b"/")[2]
    if name.startswith(b"python"):
        return b"#!/bin/sh\n'''exec' \"" + prefix + below + b'"' + space + options + b" \"$0\" \"$@\"\n' '''"
    return b"#!/usr/bin/env " + (b"-S " if options else b"") + name + space + options
