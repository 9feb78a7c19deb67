"""The plugin's client of libvirt, go-libvirt, mended in a copy for our build: it waits for ever for a stream.

libvirtd answers a download (every cloud-init disk is read back by one) from two threads: a worker sends the call's
reply, the event loop the stream's data. On a busy host the data may be first. go-libvirt takes it for the reply, the
reply for the end, and leaves. What follows finds nobody who takes it: its listener stands for ever, with the lock that
every other call needs, and the whole update with it. The second half of this is
https://github.com/digitalocean/go-libvirt/issues/241.

Two changes: packets are handed on in an order in which a caller can take them (``toolchain/libvirt/client/order.go``),
and some may wait for a caller that has left.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from toolchain import pins
from toolchain.problems import NotHadError

MODULE = "github.com/digitalocean/go-libvirt"
ORDER = pins.PLUGIN_MODULE / "client" / "order.go"

CHANGES = (
    (
        "	l.callback(h.Serial, response{Payload: buf, Status: h.Status})\n",
        "	for _, each := range l.inOrder(h, response{Payload: buf, Status: h.Status}) {\n"
        "		l.callback(h.Serial, each)\n	}\n",
    ),
    ("	c := make(chan response)\n", "	c := make(chan response, 64)\n"),
)


def mended(text: str) -> str:
    """Return go-libvirt's ``rpc.go`` with the changes. Raises NotHadError where it is another one than we know."""
    for before, after in CHANGES:
        if text.count(before) != 1:
            raise NotHadError(f"build: rpc.go of {MODULE} is not the one that toolchain/plugin/client.py mends")
        text = text.replace(before, after)
    return text


def lay_out(source: Path, work: Path) -> Path:
    """Copy the client's ``source``, mend it, and return a go.mod in ``work`` that takes the copy in its place."""
    copy = work / "go-libvirt"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*_test.go"))
    for folder in (copy, *(each for each in copy.rglob("*") if each.is_dir())):
        folder.chmod(0o755)  # the module cache is for reading only
    rpc = copy / "rpc.go"
    rpc.chmod(0o644)
    rpc.write_text(mended(rpc.read_text()))
    shutil.copyfile(ORDER, copy / ORDER.name)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(pins.PLUGIN_MODULE / name, work / name)
    with (work / "go.mod").open("a") as file:
        file.write(f"\nreplace {MODULE} => {copy}\n")
    return work / "go.mod"
