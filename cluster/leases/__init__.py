"""Who holds which GPU of a host: the lease file, and what follows from it beside what libvirt defines.

``book`` holds the values and their changes, ``evidence`` lays them beside libvirt, ``differences`` tells what does not
agree: all pure. ``text`` reads and writes the file's form, ``file`` locks and replaces it, ``update`` says which engine
is at work, ``claims`` is what the program calls.
"""

from __future__ import annotations

from cluster.leases.book import Book, Lease, Seen, Update
from cluster.leases.file import LeaseFile

__all__ = ["Book", "Lease", "LeaseFile", "Seen", "Update"]
