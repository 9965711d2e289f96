# SPDX-License-Identifier: GPL-3.0-or-later
"""What the file server itself logged: who held which file open for writing, and who wrote.

smbd (log level 2, full_audit) serves each connection with a process of its own and logs, with
its pid and microseconds, each opened and closed file and each write. A VM host's connections
come from its address and log on as its computer account. From that this judge rebuilds the
*write holds*: for each file and connection, from when until when a handle with write access
was open. Two hosts whose holds of one file overlap are two writers, whatever else is said.

"opened file" is logged before the share mode is judged: full_audit's create_file line, which follows,
tells whether the open was granted. One that was refused is struck out again.

What the log does not say is which of several handles that one process has on one file was
closed. Then the judge takes the close for that of a handle with write access. Two things keep
that from hiding a writer: a write that comes when no hold is believed open is reported
(stray_writes), and the tests hold what is believed open against the server's own table of
open files (smbstatus) after each move.

Times are integers, microseconds of the server's clock since 1970 (local time of the server,
which in the lab is UTC).
"""

import calendar
import dataclasses
import re

HEADER = re.compile(r"^\[(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}), +\d+, pid=(\d+)")
OPENED = re.compile(r"^  (.+?) opened file (.+) read=(Yes|No) write=(Yes|No) \(numopen=\d+\)$")
CLOSED = re.compile(r"^  (.+?) closed file (.+) \(numopen=\d+\) (\w+)$")
CONNECT = re.compile(r"\(ipv[46]:([0-9a-f.:]+):\d+\) .*connect to service (\S+) .*as user (\S+) ")
DISCONNECT = re.compile(r"\(ipv[46]:[0-9a-f.:]+:\d+\) closed connection to service (?!IPC\$)\S+$")
WRITE = re.compile(r"^  [^|]*\|[^|]*\|(\d+)\|[^|]*\|(pwrite|pwrite_send|pwrite_recv)\|(ok|fail[^|]*)\|(.+)$")
NEW_PROCESS = "Registered MSG_REQ_POOL_USAGE"
NEW_SERVER = "  waiting for connections"
CREATED = re.compile(r"^  [^|]*\|[^|]*\|(\d+)\|[^|]*\|create_file\|(ok|fail[^|]*)\|[^|]*\|file\|[^|]*\|(.+)$")
SHARE_FOLDER = "/srv/vms/"


@dataclasses.dataclass
class Hold:
    """A handle with write access; until is None while it is open"""
    path: str
    host: str
    pid: int
    since: int
    until: int = None

    def overlaps(self, other):
        return ((other.until is None or self.since < other.until) and
                (self.until is None or other.since < self.until))

    def __str__(self):
        until = "now" if self.until is None else f"{self.until / 1e6:.6f}"
        return f"{self.path} by {self.host} (smbd {self.pid}) {self.since / 1e6:.6f} to {until}"


@dataclasses.dataclass
class _Connection:
    host: str = "?"
    readers: dict = dataclasses.field(default_factory=dict)   # path -> open read-only handles
    holds: dict = dataclasses.field(default_factory=dict)     # path -> [Hold], open ones
    asked: tuple = None     # (path, Hold or None) of an open that is not answered yet


class SmbdLog:
    """Fed with the log from its beginning; knows at any time what it has seen so far."""

    def __init__(self):
        self.holds = []          # every Hold, in order of opening
        self.stray_writes = []   # (time, host, path): written without a believed hold
        self.writes = {}         # (path, host) -> number of writes
        self.unmatched = []      # closes of files that nobody had opened
        self._connections = {}
        self._time = self._pid = None
        self._server = None

    def feed(self, line):
        header = HEADER.match(line)
        if header:
            *when, micro, pid = (int(x) for x in header.groups())
            self._time = calendar.timegm(tuple(when)) * 1000000 + micro
            self._pid = pid
            return
        if self._time is None:
            return
        for pattern, see in ((OPENED, self._opened), (CLOSED, self._closed), (WRITE, self._write),
                             (CREATED, self._created), (CONNECT, self._connect)):
            match = pattern.search(line)
            if match:
                see(match)
                return
        if NEW_PROCESS in line:
            self._end(self._pid)
        elif line.startswith(NEW_SERVER):
            self._new_server()
        elif DISCONNECT.search(line):
            self._end(self._pid)

    def _connection(self):
        return self._connections.setdefault(self._pid, _Connection())

    def _connect(self, match):
        address, _, user = match.groups()
        self._connection().host = f"{user.split(chr(92))[-1]}@{address}"

    def _opened(self, match):
        _, path, _, write = match.groups()
        connection = self._connection()
        if write == "No":
            connection.readers[path] = connection.readers.get(path, 0) + 1
            connection.asked = (path, None)
            return
        hold = Hold(path, connection.host, self._pid, self._time)
        self.holds.append(hold)
        connection.holds.setdefault(path, []).append(hold)
        connection.asked = (path, hold)

    def _created(self, match):
        pid, result, path = match.groups()
        connection = self._connections.get(int(pid))
        if connection is None or connection.asked is None or path != SHARE_FOLDER + connection.asked[0]:
            return
        (path, hold), connection.asked = connection.asked, None
        if result == "ok":
            return
        if hold is None:
            connection.readers[path] -= 1
        else:
            connection.holds[path].remove(hold)
            self.holds.remove(hold)

    def _closed(self, match):
        path = match.group(2)
        connection = self._connection()
        if connection.holds.get(path):
            connection.holds[path].pop(0).until = self._time
        elif connection.readers.get(path):
            connection.readers[path] -= 1
        else:
            self.unmatched.append((self._time, connection.host, path))

    def _write(self, match):
        pid, operation, result, path = match.groups()
        if result != "ok" or operation == "pwrite_recv" or not path.startswith(SHARE_FOLDER):
            return
        path = path[len(SHARE_FOLDER):]
        connection = self._connections.get(int(pid), _Connection())
        key = (path, connection.host)
        self.writes[key] = self.writes.get(key, 0) + 1
        if not connection.holds.get(path):
            self.stray_writes.append((self._time, connection.host, path))

    def processes_of(self, host):
        """The smbd processes that serve the host now"""
        return [pid for pid, connection in self._connections.items() if connection.host == host]

    def process_killed(self, pid):
        """SIGKILL leaves no line in the log; whoever did it says so here."""
        self._end(pid)

    def _end(self, pid):
        """The process has ended, or its number is another's now: its handles are closed."""
        connection = self._connections.pop(pid, None)
        for holds in connection.holds.values() if connection else ():
            for hold in holds:
                hold.until = self._time

    def _new_server(self):
        """A restarted smbd has forgotten every open file."""
        if self._server is not None:
            for pid in list(self._connections):
                self._end(pid)
        self._server = self._pid

    def open_holds(self):
        return [hold for hold in self.holds if hold.until is None]

    def two_writers(self, path=None):
        """Pairs of holds of one file by two hosts that overlap in time; there must be none."""
        return self._overlapping(path, lambda a, b: a.host != b.host)

    def double_holds(self, path=None):
        """The same for two handles of one host: its old and new session during a rotation."""
        return self._overlapping(path, lambda a, b: a.host == b.host)

    def _overlapping(self, path, wanted):
        pairs, by_path = [], {}
        for hold in self.holds:
            if path is not None and hold.path != path:
                continue
            earlier = by_path.setdefault(hold.path, [])
            pairs += [(other, hold) for other in earlier if wanted(other, hold) and hold.overlaps(other)]
            earlier.append(hold)
            # holds come in order of opening: what has ended before this one began meets no later one
            earlier[:] = [h for h in earlier if h.until is None or h.until > hold.since]
        return pairs


class SmbdLogFile:
    """Follows the log file of a running server."""

    def __init__(self, path):
        self.log = SmbdLog()
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self):
        """Take in what was logged since the last time; returns the SmbdLog."""
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            data = self._rest + file.read()
            self._offset = file.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            self.log.feed(line.decode("utf-8", "replace"))
        return self.log
