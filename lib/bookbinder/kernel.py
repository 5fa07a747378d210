"""What the kernel of a lesson is given: an environment that is the same everywhere, and no network.

Standard library only: this is imported inside the kernel before the lesson begins.
"""

import json
import os
import resource
import socket
import sys
import time
from pathlib import Path

MARK = "bookbinder-farewell "
_STARTUP = "from bookbinder.kernel import block_network\nblock_network()\ndel block_network\n"
_CONFIG = "c.HistoryManager.enabled = False\nc.IPKernelApp.log_level = 40  # no word about encryption at each start\n"


def environment(folder: Path) -> dict[str, str]:
    """The environment variables of a kernel, which inherit this process's.

    The reader's own IPython profile, matplotlib settings and locale would change what a lesson prints, so each is
    replaced.

    Args:
        folder: Where the kernel's profile is written; it may be shared by many kernels.
    """
    profile = folder / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True, exist_ok=True)
    (profile / "startup" / "00-network.py").write_text(_STARTUP, encoding="utf-8")
    (profile / "ipython_kernel_config.py").write_text(_CONFIG, encoding="utf-8")
    settings = folder / "matplotlibrc"
    settings.write_text("", encoding="utf-8")
    return {
        **os.environ,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one the reader registered
        "MATPLOTLIBRC": str(settings),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "default",
        "SOURCE_DATE_EPOCH": "1767225600",  # 2026-01-01: dates that a figure would carry
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "HF_HUB_OFFLINE": "1",
        # One thread: a second one that waits for a busy core makes small work many times slower.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


class NetworkBlockedError(ConnectionError):
    """A lesson tried to leave the machine."""


def block_network() -> None:
    """Make every attempt to connect from Python to another machine raise; this machine itself stays reachable."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse_unless_local(family: int, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else address
        local = isinstance(host, str) and (host in ("localhost", "::1", "") or host.startswith("127."))
        if family != getattr(socket, "AF_UNIX", None) and not local:
            raise NetworkBlockedError(
                f"the book runs without a network, and this cell tried to reach {host!r}. Try: generate the data, or "
                "take it from a package that is installed"
            )

    def guarded_connect(self, address):
        refuse_unless_local(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        refuse_unless_local(self.family, address)
        return connect_ex(self, address)

    def guarded_look_up(host, *args, **kwargs):
        if host is not None:
            refuse_unless_local(-1, (host.decode() if isinstance(host, bytes) else host,))
        return look_up(host, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_look_up


def farewell() -> None:
    """Print what the runner wants to know when the last cell is done: claims, CPU seconds, peak memory."""
    claims = sys.modules.get("mazelm.common.claims")  # only if the lesson made any
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {
        "claims": {} if claims is None else claims.recorded(),
        "cpu_seconds": time.process_time(),
        "memory_mb": peak / (2**20 if sys.platform == "darwin" else 2**10),
        "versions": _versions(),
    }
    print(MARK + json.dumps(facts))


def _versions() -> dict[str, str]:
    """Versions of Python and of the packages that this lesson has loaded."""
    names = ("numpy", "matplotlib", "sklearn", "torch", "gymnasium", "transformers")
    loaded = {name: getattr(sys.modules[name], "__version__", "") for name in names if name in sys.modules}
    return {"python": sys.version.split()[0], **loaded}
