"""Compares the tensors of two captures in a process that has both open already.

A notebook or a test does so.

    python -m benchmarks.inside A B     prints the third time of three:
                                        {"processor": seconds, "wall": seconds, "anonymous": MB}

It forgets what is remembered of earlier differences, so it needs a cache of its own: XDG_CACHE_HOME.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

from benchmarks.meter import anonymous
from forensics.files import cache_directory
from forensics.judge import deltas, library
from forensics.refs import pair
from forensics.store.loader import open_session
from forensics.store.store import Store

if "XDG_CACHE_HOME" not in os.environ:
    sys.exit("set XDG_CACHE_HOME: differences that are remembered there are removed")
said = {}
for _ in range(3):
    # nothing is remembered of earlier differences
    shutil.rmtree(cache_directory() / "deltas", ignore_errors=True)
    meant = pair(Store.find(None), sys.argv[1:], light=True)
    with open_session([meant.a, meant.b], []) as session:
        session.offer(library.load().macros)
        began = time.perf_counter(), time.process_time()
        deltas.fill(session, meant.a.ref, meant.b.ref)
        session.rows(
            f"SELECT status, count(*) AS n FROM {session.once('paired', meant.a.ref, meant.b.ref)}"
            " GROUP BY status"
        )
        said = {
            "processor": time.process_time() - began[1],
            "wall": time.perf_counter() - began[0],
            "anonymous": anonymous(os.getpid()) or 0.0,
        }
print(json.dumps(said))
