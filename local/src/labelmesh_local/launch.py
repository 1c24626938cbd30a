"""Becomes another program that ends with its parent, and that is not root where it must not be.

Run as a file by `python -I -S`, so that it costs about 20 ms and imports nothing of ours:
`launch.py PARENT_PID DEATH_SIGNAL as-is|unprivileged PROGRAM ARGUMENT...`

PostgreSQL refuses to run as root. Where the kernel allows it, root becomes user 1000 of a user namespace of its own: files
stay owned by root outside. Elsewhere (in many containers) it becomes an unprivileged account that owns the data (see
`fallback_account`) and keeps one right of root's, to pass through folders that are closed to others, such as /root.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000
_INSIDE = 1000
_TRY = "try-user-namespace"


def fallback_account() -> tuple[int, int]:
    """Returns user and group id of the account that stands in for root where user namespaces are forbidden."""
    import pwd

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def enter_user_namespace() -> bool:
    """Makes this process user 1000 of a new user namespace; False where the kernel forbids it, and nothing has changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER) != 0:
        return False
    try:
        with open("/proc/self/setgroups", "w") as file:
            file.write("deny")
        with open("/proc/self/uid_map", "w") as file:
            file.write(f"{_INSIDE} {user} 1")
        with open("/proc/self/gid_map", "w") as file:
            file.write(f"{_INSIDE} {group} 1")
    except OSError:
        return False
    return os.geteuid() == _INSIDE


def user_namespaces_work() -> bool:
    """Tries in a program of its own whether `enter_user_namespace` succeeds here.

    A forked child would not do: gRPC starts threads in the children of a process that uses it, and the kernel gives a process with
    threads no namespace.
    """
    import subprocess

    return subprocess.run([sys.executable, "-I", "-S", __file__, _TRY], check=False, timeout=30).returncode == 0


def _become_unprivileged() -> None:
    if os.geteuid() != 0:
        return
    child = os.fork()
    if child == 0:
        os._exit(0 if enter_user_namespace() else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        enter_user_namespace()
        return
    _become_fallback_account()


def _become_fallback_account() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = fallback_account()
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    # Effective, permitted and inheritable, each in two words of 32 bits; then ambient, so that it outlives execv. Where the
    # machine has taken the capability away, files must be reachable without it.
    bit = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(header, data) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _end_with(parent: int, death_signal: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was told to watch it
        os._exit(128 + death_signal)


def main(arguments: list[str]) -> None:
    if arguments == [_TRY]:
        os._exit(0 if enter_user_namespace() else 1)
    parent, death_signal, privilege, *command = arguments
    if privilege == "unprivileged":
        _become_unprivileged()
    # After the change of user, which would clear it.
    _end_with(int(parent), int(death_signal))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
