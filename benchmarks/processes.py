"""What whole processes cost: CPU and peak memory, as the kernel tells them when a process is waited for.

On Linux the peak that is told for a process is never below that of the process which started it, because the count
goes over the ``exec``. So a bare interpreter of some 8 MiB stands in between, starts the command and waits for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

LAUNCHER = """
import posix, sys
nowhere = posix.open("/dev/null", posix.O_WRONLY)
quiet = [(posix.POSIX_SPAWN_DUP2, nowhere, 1), (posix.POSIX_SPAWN_DUP2, nowhere, 2)]
child = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ, file_actions=quiet)
_, status, usage = posix.wait4(child, 0)
print(posix.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Runs its arguments as a command; imports only what is built into the interpreter, to stay small."""

NOTHING = shutil.which("true") or "/bin/true"
"""A program that does nothing."""


@dataclass(frozen=True)
class Run:
    """What one process cost.

    Attributes:
        cpu_s: User plus system time in seconds.
        peak_bytes: The largest resident set in bytes.
    """

    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Claim:
    """A number that the README states, and what was measured.

    Attributes:
        text: What is claimed.
        measured: The number that was found.
        most: The largest number for which the claim holds.
    """

    text: str
    measured: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether the measured number is small enough."""
        return self.measured <= self.most


def measure(command: list[str]) -> Run:
    """Runs a command with its output thrown away.

    Raises:
        SystemExit: The command failed.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    told = subprocess.run(launched, env=environment, capture_output=True, text=True, check=True).stdout.split()
    if told[0] != "0":
        sys.exit(f"{' '.join(command)} left with status {told[0]}; run it by hand to see why")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS tells bytes, everything else KiB
    return Run(float(told[1]), int(told[2]) * unit)


def printable_claims(claims: Iterable[Claim]) -> list[str]:
    """A line for each claim, with what was measured."""
    return [
        f"{'holds' if claim.holds else 'FAILS'}: {claim.text} ({claim.measured:.4g}, at most {claim.most:.4g})"
        for claim in claims
    ]
