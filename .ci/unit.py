"""Starts a program under what a systemd unit takes from it: unit.py UNIT PROGRAM [ARGUMENT...]

Played here, as the kernel does it for systemd: the user, the rights (ambient, bounding), no new privileges, the system
call filter, the address families and the limit on descriptors. Not played: what systemd does with mounts and cgroups. A
call that the filter does not let through ends the process, as it would there. To be run as root by a Python that has
libseccomp's module (Debian: python3-seccomp).
"""

import errno
import os
import socket
import subprocess
import sys

import seccomp

NOBODY = 65534
FAMILIES = 46  # that the kernel knows
INSIDE = "--inside"
unit, program = sys.argv[1], sys.argv[2:]
settings = {}
for line in open(unit, encoding="utf-8"):
    name, is_setting, value = line.strip().partition("=")
    if is_setting and not name.startswith("#"):
        settings.setdefault(name, []).append(value)


def calls(word):
    """The names behind `@set`, sets in it included."""
    if not word.startswith("@"):
        return {word}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in shown.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(calls, words))


def rights(setting):
    """A list of capabilities in the words of setpriv."""
    return ",".join(["-all", *("+" + right.removeprefix("CAP_").lower() for right in settings[setting][0].split())])


def load_filter():
    # The first list says whether names are let in or kept out; later ones add to it or take from it.
    allowed = set()
    for value in settings["SystemCallFilter"]:
        names = set().union(*map(calls, value.lstrip("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    number = settings.get("SystemCallErrorNumber")
    rules = seccomp.SyscallFilter(seccomp.ERRNO(getattr(errno, number[0])) if number else seccomp.KILL_PROCESS)
    # `@default` is let in always, or systemd's own exec would fail.
    for name in sorted((allowed | calls("@default")) - {"socket"}):
        try:
            rules.add_rule(seccomp.ALLOW, name)
        except RuntimeError:
            pass  # a name of another architecture
    families = {getattr(socket, family) for value in settings["RestrictAddressFamilies"] for family in value.split()}
    for family in range(FAMILIES):
        verdict = seccomp.ALLOW if family in families else seccomp.ERRNO(errno.EAFNOSUPPORT)
        rules.add_rule(verdict, "socket", seccomp.Arg(0, seccomp.EQ, family))
    rules.load()


if program[0] != INSIDE:
    # The rights first: once the filter is there, nobody changes them.
    ambient, descriptors = rights("AmbientCapabilities"), settings["LimitNOFILE"][0]
    os.execvp("setpriv", [
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs",
        f"--bounding-set={rights('CapabilityBoundingSet')}", f"--inh-caps={ambient}", f"--ambient-caps={ambient}",
        "prlimit", f"--nofile={descriptors}:{descriptors}",
        sys.executable, os.path.abspath(__file__), unit, INSIDE, *program])
load_filter()
os.execvp(program[1], program[1:])
