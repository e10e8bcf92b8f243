"""Starts a program on two ranks of this machine, as mlx.launch does, on ports that are free."""

import json
import os
import socket
import subprocess
import sys
import tempfile

RANKS = 2


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def launch(arguments):
    """The worst status of all ranks."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as hosts:
        json.dump([[f"127.0.0.1:{port}"] for port in free_ports(RANKS)], hosts)
        hosts.flush()
        started = [
            subprocess.Popen([sys.executable, *arguments], env={**os.environ, "MLX_RANK": str(rank), "MLX_HOSTFILE": hosts.name})
            for rank in range(RANKS)
        ]
        return max(each.wait() for each in started)


sys.exit(launch(sys.argv[1:]))
