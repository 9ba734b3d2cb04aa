"""Run the command on a pseudo-terminal of a given width."""

from __future__ import annotations

import contextlib
import os
import pty
import struct
import subprocess
import sys


def on_terminal(arguments: list[str], columns: int, cwd: str, env: dict[str, str]) -> tuple[int, str]:
    """Return the exit status and what the terminal got."""
    import fcntl
    import termios

    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {key: value for key, value in env.items() if key not in ("COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-m", "opeslike", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env
    )
    os.close(theirs)
    got = b""
    with contextlib.suppress(OSError):  # EIO once the child is gone
        while chunk := os.read(own, 4096):
            got += chunk
    os.close(own)
    return child.wait(), got.decode().replace("\r\n", "\n")
