"""Bundles made to harm, each from a good one by one change, sealed again so that only that change is wrong.

    python -m tests.support.hostile GOOD.zip DIRECTORY

writes them all. Each entry of CORPUS is (what it tries, the member that must be named or "", how it is made).
"""

# ruff: noqa: E501  (each bundle is one line)

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Members = dict[str, bytes]
Make = Callable[[Members], bytes]
END, RUN, LOADED = "captures/night@end", "runs/night", "captures/night@loaded"


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def canonical(document: object) -> bytes:
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode(
        "utf-8", "surrogatepass"
    )


def gz(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 5, out, mtime=0) as file:
        file.write(data)
    return out.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def resealed(m: Members, **changes: Any) -> Members:
    """The members with manifests that hold again: of each capture, of the bundle, and the list of digests.

    `changes` go into the manifest.
    """
    m = dict(m)
    for name in [n for n in m if n.count("/") == 2 and n.endswith("/manifest.json")]:
        directory = name.rpartition("/")[0]
        try:
            document = json.loads(m[name])
        except ValueError:
            continue
        if isinstance(document, dict) and isinstance(document.get("files"), dict):
            tables = {
                n.removeprefix(f"{directory}/"): d
                for n, d in m.items()
                if n.startswith(f"{directory}/tables/")
            }
            document["files"] = {n: {"size": len(d), "sha256": sha(d)} for n, d in tables.items()}
            m[name] = canonical(document)
    document = json.loads(m["manifest.json"]) | changes
    held = {n: d for n, d in m.items() if n not in ("manifest.json", "manifest-sha256.txt")}
    document["members"] = {n: {"size": len(d), "sha256": sha(d)} for n, d in held.items()} | changes.get(
        "members", {}
    )
    m["manifest.json"] = canonical({k: v for k, v in document.items() if v is not ...})
    m["manifest-sha256.txt"] = "".join(
        f"{sha(d)}  {n}\n" for n, d in sorted({**held, "manifest.json": m["manifest.json"]}.items())
    ).encode()
    return m


def zipped(m: Mapping[str, bytes] | list[tuple[str, bytes]], **options: Any) -> bytes:
    """A zip as we write it, but for `options`.

    These are mode, system, method, comment, date, flags, extra, member comment.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in sorted(m.items()) if isinstance(m, Mapping) else m:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, options.get("mode", 0o100644) << 16
            info.compress_type = options.get("method", zipfile.ZIP_STORED)
            info.extra, info.comment = options.get("extra", b""), options.get("remark", b"")
            archive.writestr(info, data)
        archive.comment = options.get("comment", b"")
    return out.getvalue()


def again(change: Callable[[Members], None], **changes: Any) -> Make:
    """Change members, then seal them again."""

    def make(m: Members) -> bytes:
        m = dict(m)
        change(m)
        return zipped(resealed(m, **changes))

    return make


def raw(change: Callable[[Members], None]) -> Make:
    """Change members, and seal nothing again."""

    def make(m: Members) -> bytes:
        m = dict(m)
        change(m)
        return zipped(m)

    return make


def manifest(**changes: Any) -> Make:
    return lambda m: zipped(resealed(m, **changes))


def lines(table: str, *rows: object, where: str = END, plain: bytes | None = None) -> Make:
    """Other lines in a table."""
    data = plain if plain is not None else b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return again(lambda m: m.update({f"{where}/tables/{table}.jsonl.gz": gz(data)}))


def table(data: bytes | Callable[[], bytes], name: str = "steps") -> Make:
    """Other bytes as a table of the run; a function makes them when they are needed."""
    path = f"{RUN}/tables/{name}.jsonl.gz"
    return again(lambda m: m.update({path: data() if callable(data) else data}))


def pack(data: bytes) -> Make:
    """Other bytes as the file of tensors."""

    def change(m: Members) -> None:
        m[next(n for n in m if n.startswith("packs/"))] = data

    return again(change)


def tensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(
    name: str = "0" * 64, dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)
) -> dict[str, Any]:
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def extra(name: str, data: bytes = b"x") -> Make:
    """One more member, in the manifest as well."""
    return again(lambda m: m.update({name: data}))


def head(**changes: Any) -> Make:
    """Another head in the manifest of a capture."""

    def change(m: Members) -> None:
        document = json.loads(m[f"{END}/manifest.json"])
        document["head"] |= changes
        m[f"{END}/manifest.json"] = canonical(document)

    return again(change)


def part(**changes: Any) -> Make:
    """Another manifest of a capture."""
    return again(
        lambda m: m.update(
            {f"{END}/manifest.json": canonical(json.loads(m[f"{END}/manifest.json"]) | changes)}
        )
    )


def patched(change: Callable[[bytearray], None]) -> Make:
    """Bytes of the good zip changed."""

    def make(m: Members) -> bytes:
        data = bytearray(zipped(m))
        change(data)
        return bytes(data)

    return make


def _flip(name: bytes) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[data.index(name) + len(name) + 2] ^= 1

    return change


def _rename_local(data: bytearray) -> None:
    at = data.index(b"README.txt")
    data[at : at + 10] = b"READMEztxt"


def _overlap(data: bytearray) -> None:
    """The second member of the directory begins where the first does."""
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]


def _huge(data: bytearray) -> None:
    first = data.index(b"PK\1\2")
    data[first + 20 : first + 28] = struct.pack("<2L", 0xFFFFFFF0, 0xFFFFFFF0)


def _gap(m: Members) -> bytes:
    """Bytes between two members that no directory names."""
    good = zipped(m)
    first = good.index(b"PK\1\2")
    moved = bytearray(good[:first] + b"hidden" + good[first:])
    at = len(moved) - 22 + 16
    moved[at : at + 4] = struct.pack("<L", first + 6)
    return bytes(moved)


def _manifest_twice(m: Members) -> None:
    text = m["manifest.json"].decode()
    m["manifest.json"] = text.replace('{\n "captures"', '{\n "captures": [],\n "captures"', 1).encode()


def _other_tensor(m: Members) -> None:
    name = next(n for n in m if n.startswith("packs/"))
    data = bytearray(m[name])
    data[-1] ^= 1
    m[name] = bytes(data)


def _bomb() -> bytes:
    """300 MB of small rows in some hundred kilobytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    row = b'{"run":"night"}\n' * 65536
    return _plain(
        packer.compress(row * 4) + b"".join(packer.compress(row * 4) for _ in range(70)) + packer.flush()
    )


def _line_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return _plain(
        packer.compress(b'{"run":"')
        + b"".join(packer.compress(b"a" * (1 << 22)) for _ in range(64))
        + packer.flush()
    )


def _plain(data: bytes) -> bytes:
    return data[:8] + b"\0" + data[9:]


def apart(**changes: Any) -> dict[str, Any]:
    """One tensor that is said to be stored as a difference."""
    return {X: {"base": "b" * 64, "dtype": "F32", "shape": [1], "held": "c" * 64, **changes}}


def _packed(m: Members) -> list[str]:
    """The names of tensors in the file of tensors."""
    data = next(d for n, d in sorted(m.items()) if n.startswith("packs/"))
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    return sorted(name for name in header if name != "__metadata__")


X = "a" * 64
P = "placements"
LONG = "x" * 70000
SCRIPT = "<script>alert(1)</script>"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"

CORPUS: dict[str, tuple[str, Make]] = {
    # what the sender proved
    "a proof of another run": ("proof.json", lambda m: zipped(resealed({**m, "proof.json": b'{"schema": 1, "runs": {"day": {}}}'}))),
    "a proof with words of its own": ("proof.json", lambda m: zipped(resealed({**m, "proof.json": m["proof.json"].replace(b'"patch": ""', b'"patch": "curl evil.example"')}))),
    "a proof that is no JSON": ("proof.json", lambda m: zipped(resealed({**m, "proof.json": b"[" * 5000}))),
    # the zip
    "empty file": ("", lambda m: b""),
    "no zip": ("", lambda m: b"PK\3\4" + b"\0" * 500),
    "cut off": ("", lambda m: zipped(m)[:-100]),
    "cut in half": ("", lambda m: zipped(m)[: len(zipped(m)) // 2]),
    "something before it": ("", lambda m: b"#!/bin/sh\nexit\n" + zipped(m)),
    "something behind it": ("", lambda m: zipped(m) + b"more"),
    "a comment": ("", lambda m: zipped(m, comment=b"hello")),
    "a member's comment": ("README.txt", lambda m: zipped(m, remark=b"hello")),
    "members compressed": ("README.txt", lambda m: zipped(m, method=zipfile.ZIP_DEFLATED)),
    "extra fields": ("README.txt", lambda m: zipped(m, extra=b"\x75\x70\x04\0abcd")),
    "a link": ("README.txt", lambda m: zipped(m, mode=0o120777)),
    "a device": ("README.txt", lambda m: zipped(m, mode=0o060644)),
    "set-user-id": ("README.txt", lambda m: zipped(m, mode=0o104755)),
    "a bit of the manifest": ("manifest.json", patched(_flip(b'"kind": "bundle"'))),
    "names that differ in their two headers": ("README.txt", patched(_rename_local)),
    "members over each other": ("captures/night@end/manifest.json", patched(_overlap)),
    "a size that is a lie": ("README.txt", patched(_huge)),
    "bytes that no directory names": ("", _gap),
    "members in another order": ("", lambda m: zipped([*sorted(m.items(), reverse=True), ("README.txt", b"2")])),
    "a name twice": ("README.txt", lambda m: zipped([*sorted(m.items()), ("README.txt", b"other")])),
    "a name twice but for its case": ("readme.TXT", extra("readme.TXT")),
    "a path upwards": ("../evil", extra("../evil")),
    "a path upwards inside": ("captures/../../evil", extra("captures/../../evil")),
    "an absolute path": ("/tmp/evil", extra("/tmp/evil")),
    "a drive": ("C:/evil", extra("C:/evil")),
    "a backslash": ("", extra("captures\\evil")),
    "a directory": ("captures/night@end/", extra("captures/night@end/", b"")),
    "a name with control characters": ("", extra("captures/\x1b[2Jx")),
    "a name with a zero": ("", extra("report.html\0.txt")),
    "a pickle": ("evil.pkl", extra("evil.pkl", b"\x80\x04cposix\nsystem\n")),
    "a database": ("evil.duckdb", extra("evil.duckdb", b"DUCK")),
    "a setting of the store's": (".gitignore", extra(".gitignore")),
    "many members": ("", lambda m: zipped({**m, **{f"packs/{i:032x}.safetensors": b"" for i in range(21000)}})),
    # the manifest
    "no manifest": ("manifest.json", raw(lambda m: m.pop("manifest.json") and None)),
    "no list of digests": ("manifest-sha256.txt", raw(lambda m: m.pop("manifest-sha256.txt") and None)),
    "another list of digests": ("manifest-sha256.txt", raw(lambda m: m.update({"manifest-sha256.txt": b"0" * 64 + b"  README.txt\n"}))),
    "a member that the manifest does not name": ("findings.json", raw(lambda m: m.update({"findings.json": b"{}"}))),
    "a member that is missing": ("README.txt", raw(lambda m: m.pop("README.txt") and None)),
    "a member of another size": ("README.txt", raw(lambda m: m.update({"README.txt": b"other"}))),
    "a member of another content": ("README.txt", raw(lambda m: m.update({"README.txt": m["README.txt"][::-1]}))),
    "a manifest that is no JSON": ("manifest.json", raw(lambda m: m.update({"manifest.json": b"{" * 100000}))),
    "a manifest of a newer format": ("", manifest(format=99)),
    "a manifest of no format": ("manifest.json", manifest(format=0)),
    "a manifest with a format that is text": ("manifest.json", manifest(format="1")),
    "a manifest of another kind": ("manifest.json", manifest(kind="run")),
    "a level that there is not": ("manifest.json", manifest(level="all")),
    "captures that are no list": ("manifest.json", manifest(captures={"night@end": 1})),
    "a capture that is not there": ("captures/night@gone/manifest.json", manifest(captures=["night@end", "night@loaded", "night@gone"])),
    "a capture that is not named": ("manifest.json", manifest(captures=["night@end"])),
    "a key twice": ("manifest.json", raw(_manifest_twice)),
    "a manifest in another form": ("manifest.json", raw(lambda m: m.update({"manifest.json": json.dumps(json.loads(m["manifest.json"])).encode()}))),
    "like a capture that comes later": ("manifest.json", manifest(captures=["night@end", "night@loaded"])),
    "like itself": ("manifest.json", manifest(compact={"night@end": {"like": "night@end", "removed": []}})),
    "like nothing": ("manifest.json", manifest(compact={"night@end": {"like": "../x", "removed": []}})),
    # manifests of captures
    "a capture's manifest of another name": (f"{END}/manifest.json", part(name="other@end")),
    "a capture's manifest with a path": ("", part(name="../../evil@end")),
    "a capture's manifest that is a run's": (f"{END}/manifest.json", part(kind="run")),
    "a head of another capture": (f"{END}/manifest.json", head(capture="victim@end")),
    "a head of another run": (f"{END}/manifest.json", head(run="victim")),
    "a head whose probes are elsewhere": (f"{END}/manifest.json", head(probes_of="victim@end")),
    "a head with a list": ("", head(point=["end"])),
    "a head with a wrong type": (f"{END}/manifest.json", head(sequence="first")),
    # rows
    "a line that is no JSON": (P, lines(P, plain=b"{\n")),
    "a line that is a list": (P, lines(P, [1])),
    "an empty row": (P, lines(P, {})),
    "an empty line": (P, lines(P, plain=b"\n")),
    "a last line without end": (P, lines(P, plain=b'{"name":"x"}')),
    "a bare NaN": ("tensors", lines("tensors", plain=b'{"digest":"x","mean":NaN}\n')),
    "a bare Infinity": ("tensors", lines("tensors", plain=b'{"digest":"x","mean":-Infinity}\n')),
    "a NaN of another spelling": ("tensors", lines("tensors", {"digest": "x", "mean": "nan"})),
    "a number that is text": ("tensors", lines("tensors", {"digest": "x", "size": "1"})),
    "a whole number with a point": ("tensors", lines("tensors", {"digest": "x", "size": 1.5})),
    "a number beyond 64 bits": ("tensors", lines("tensors", {"digest": "x", "size": 1 << 63})),
    "a truth that is a number": (P, lines(P, {"name": "x", "trainable": 1})),
    "a text that is an object": (P, lines(P, {"name": {"a": 1}})),
    "a key twice in a row": (P, lines(P, plain=b'{"name":"x","name":"y"}\n')),
    "depth without end": (P, lines(P, plain=b'{"name":' + b"[" * 200000 + b"]" * 200000 + b"}\n")),
    "a number of a digest that is not there": ("tensors", lines("tensors", {"digest": "#99"})),
    "a number of a digest that is none": ("tensors", lines("tensors", {"digest": "#-1"})),
    "JSON in a column that is none": ("modules", lines("modules", {"module": "x", "attributes": "{"})),
    "bytes that are no text": (P, lines(P, plain=b'{"name":"\xff\xfe"}\n')),
    "rows of a capture of somebody else": (P, lines(P, {"capture": "victim@end", "name": "x"})),
    "events of a run of somebody else": ("events", lines("events", {"run": "victim", "kind": "save"}, where=RUN)),
    "differences of answers of somebody else": ("probe_deltas", lines("probe_deltas", {"capture_a": "victim@loaded", "capture_b": "night@end"})),
    "SQL as a run": ("events", lines("events", {"run": "night'); DROP TABLE captures; --", "kind": "save"}, where=RUN)),
    "a table named upwards": ("", again(lambda m: m.update({f"{END}/tables/../x.jsonl.gz": gz(b"{}\n")}))),
    "a line without end": ("steps", table(_line_bomb)),
    "small rows without end": ("steps", table(_bomb)),
    "a table that is no gzip": ("steps", table(b"hello")),
    "a table that is cut off": ("steps", table(gz(b'{"run":"night","step":1}\n' * 100)[:-6])),
    "a table with something behind it": ("steps", table(gz(b'{"run":"night"}\n') + b"x")),
    "a table in two parts": ("steps", table(gz(b'{"run":"night"}\n') + gz(b'{"run":"night"}\n'))),
    "a table with a name in its gzip": ("steps", table(_plain(gz(b'{"run":"night"}\n'))[:3] + b"\x08" + gz(b'{"run":"night"}\n')[4:10] + b"x\0")),
    # tensors
    "a header above 8 MB": ("packs/", pack(tensors(b"{" + b" " * (9 << 20) + b"}"))),
    "a header that is longer than the file": ("packs/", pack(struct.pack("<Q", 1 << 40) + b"{}")),
    "a header that is no JSON": ("packs/", pack(tensors(b"{{"))),
    "a header that is a list": ("packs/", pack(tensors([]))),
    "tensors over each other": ("packs/", pack(tensors(entry() | entry("1" * 64), b"abcd"))),
    "a hole between tensors": ("packs/", pack(tensors(entry(offsets=(4, 8)), b"abcdefgh"))),
    "bytes behind the tensors": ("packs/", pack(tensors(entry(), b"abcdefgh"))),
    "a shape that wraps": ("packs/", pack(tensors(entry(shape=(1 << 30, 1 << 30, 16), offsets=(0, 0))))),
    "a shape below zero": ("packs/", pack(tensors(entry(shape=(-1,), offsets=(0, 4)), b"abcd"))),
    "a type that there is not": ("packs/", pack(tensors(entry(dtype="F128"), b"abcd"))),
    "a type that is a list": ("packs/", pack(tensors(entry(dtype=["F32"]), b"abcd"))),
    "a foreign type that is none": ("packs/", pack(tensors({"__metadata__": {"forensics.types": json.dumps({"0" * 64: 7})}, **entry()}, b"abcd"))),
    "a tensor that is not its digest": ("packs/", pack(tensors(entry(), b"abcd"))),
    "a tensor with one bit changed": ("packs/", again(_other_tensor)),
    "a tensor whose name is a path": ("packs/", pack(tensors(entry("../../evil"), b"abcd"))),
    # differences
    "a difference in the format before them": ("manifest.json", manifest(format=1, differences=apart())),
    "differences that are a list": ("manifest.json", manifest(format=2, differences=[])),
    "a difference of a name that is no digest": ("manifest.json", manifest(format=2, differences={"../evil": apart()[X]})),
    "a difference without its base": ("manifest.json", manifest(format=2, differences=apart(base=None))),
    "a difference whose base is a path": ("manifest.json", manifest(format=2, differences=apart(base="../../etc/passwd"))),
    "a difference whose base is itself": ("manifest.json", manifest(format=2, differences=apart(base=X))),
    "a difference of a shape below zero": ("manifest.json", manifest(format=2, differences=apart(shape=[-1]))),
    "a difference of a shape that is true": ("manifest.json", manifest(format=2, differences=apart(shape=[True]))),
    "a difference of a type that is a list": ("manifest.json", manifest(format=2, differences=apart(dtype=["F32"]))),
    "a difference that is not in it": ("manifest.json", manifest(format=2, differences=apart())),
    "many differences from one base": ("manifest.json", manifest(format=2, differences={f"{n:064x}": apart()[X] for n in range(2, 40)})),
    "differences against what is not there": ("manifest.json", manifest(format=2, differences=apart(), against=["victim@end"])),
    "tensors and differences in one file": ("packs/", lambda m: zipped(resealed(m, format=2, differences=apart(held=_packed(m)[0])))),
}  # fmt: skip

NEUTRAL: dict[str, Make] = {
    "script in an answer": lines("transcripts", {"capture": "night@end", "prompt_id": "p0", "source": "probe", "output": SCRIPT, "finish_reason": "stop"}),
    "terminal escapes in a name": lines(P, {"capture": "night@end", "name": ESCAPE, "canonical": ESCAPE, "module": ESCAPE, "role": "base"}),
    "SQL in a text": lines("configs", {"capture": "night@end", "kind": "model", "key": "'); DROP TABLE x; --", "value": '"SELECT 1"'}),
    "a macro's name as a key": lines("configs", {"capture": "night@end", "kind": "model", "key": "capture_of(r)", "value": "1"}),
    "a very long name": lines(P, {"capture": "night@end", "name": LONG, "canonical": LONG, "role": "base"}),
    "a column of a newer version": lines(P, {"capture": "night@end", "name": "x", "canonical": "x", "role": "base", "newer": 1}),
    "a table of a newer version": again(lambda m: m.update({f"{END}/tables/newer.jsonl.gz": gz(b'{"a":1}\n')})),
    "lone surrogates": lines("configs", plain=b'{"capture":"night@end","kind":"model","key":"x","value":"\\"\\\\ud800\\""}\n'),
}  # fmt: skip
"""What is data like any other: taken in, and shown so that it does no harm."""


def write(good: Path, directory: Path) -> Iterator[tuple[str, str, Path]]:
    """Write every hostile bundle; yields (what it tries, the member that must be named, file)."""
    held = members(good)
    directory.mkdir(parents=True, exist_ok=True)
    for number, (name, (member, make)) in enumerate(CORPUS.items()):
        path = directory / f"{number:03d}.zip"
        path.write_bytes(make(held))
        yield name, member, path


if __name__ == "__main__":
    for told, where, made in write(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"{made}: {told} ({where or 'the file'})")
