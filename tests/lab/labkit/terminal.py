# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of somebody who sits at a terminal."""

SIT = r"""
import os, pty, re, select, sys, termios
user, password, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("setpriv", ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command])
def quiet():
    return not termios.tcgetattr(terminal)[3] & termios.ECHO
said, typed = b"", 0
while select.select([terminal], [], [], 60)[0]:
    try:
        said += os.read(terminal, 4096)
    except OSError:     # the command has ended
        break
    if len(re.findall(rb"[Pp]assword: ", said)) > typed:
        typed += 1
        while not quiet():  # what was typed before that is thrown away
            select.select([], [], [], 0.02)
        os.write(terminal, password.encode() + b"\n")
print(said.decode(errors="replace"))
os.waitpid(pid, 0)
"""


def sit(host, user, password, *command):
    """What the command said; the password is typed when it is asked for"""
    return host.run("python3", "-c", SIT, user, password, *command).stdout


def start_sitting(host, *command):
    """root's, still under way: what it said stands in the process' output once it has ended"""
    return host.start("python3", "-c", SIT, "root", "", *command)
