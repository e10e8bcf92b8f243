"""Starts a program on two ranks of this machine, as mlx.launch does, on ports that are free."""

import json
import os
import socket
import subprocess
import sys
import tempfile

RANKS = 2


def free(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def free_ports(count):
    """Below those that the system hands out by itself, and apart from what another launch on this machine takes."""
    first = 20_000 + os.getpid() * count % 10_000
    return [port for port in range(first, first + 1000) if free(port)][:count]


def launch(arguments):
    """The worst status of all ranks."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as hosts:
        json.dump([[f"127.0.0.1:{port}"] for port in free_ports(RANKS)], hosts)
        hosts.flush()
        started = [
            subprocess.Popen(
                [sys.executable, *arguments],
                env={**os.environ, "MLX_RANK": str(rank), "MLX_HOSTFILE": hosts.name},
            )
            for rank in range(RANKS)
        ]
        return max(each.wait() for each in started)


sys.exit(launch(sys.argv[1:]))
