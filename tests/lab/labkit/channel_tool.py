# SPDX-License-Identifier: GPL-3.0-or-later
"""channel-tool (tests/unit/channel) inside a lab's hosts, and commands that go on."""

import base64
import contextlib
import os
import pathlib
import queue
import re
import subprocess
import threading
import time

TOOL = "tests/unit/channel/channel-tool"
INSIDE = "/root/channel-tool"


class Running:
    """A tool that goes on; its lines as they come"""

    def __init__(self, host, *command):
        self.host = host
        self.process = host.start("bash", "-c", 'echo "pid $$"; exec "$@" 2>&1', "bash", *command)
        self.lines = []
        self._queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.pid = int(self.wait_for(r"pid (\d+)").group(1))

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))

    def wait_for(self, pattern, seconds=30):
        """The first line from now on that matches"""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line matches {pattern!r} among {self.lines}") from None
            self.lines.append(line)
            match = re.search(pattern, line)
            if match:
                return match

    def tell(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def stop(self):
        self.host.run("kill", str(self.pid), check=False)
        self.process.wait(timeout=20)


@contextlib.contextmanager
def running(host, *command):
    tool = Running(host, *command)
    try:
        yield tool
    finally:
        tool.stop()


def build_tool(lab):
    """VMFERRY_CHANNEL_TOOL, or the one of the lab's own build"""
    if "VMFERRY_CHANNEL_TOOL" in os.environ:
        return pathlib.Path(os.environ["VMFERRY_CHANNEL_TOOL"])
    build = lab.dir / "build"
    subprocess.run(["ninja", "-C", build, TOOL], check=True, capture_output=True)
    return build / TOOL


def bring_tool(lab, *hosts):
    """Into each of the hosts, as INSIDE"""
    text = base64.b64encode(build_tool(lab).read_bytes()).decode()
    for host in hosts:
        host.run("bash", "-c", f"base64 -d >{INSIDE} && chmod 755 {INSIDE}", input=text)
