# SPDX-License-Identifier: GPL-3.0-or-later
"""nbd_relay LISTEN CONNECT - hands connections on; each place is a socket's path or [HOST:]PORT

A path listened on becomes QEMU's alone, as vmferry's own NBD sockets are. Says "ready" once it listens.
"""

import os
import pwd
import socket
import sys
import threading


def listen(place):
    if place.startswith("/"):
        if os.path.lexists(place):
            os.unlink(place)
        server = socket.socket(socket.AF_UNIX)
        server.bind(place)
        user = pwd.getpwnam("libvirt-qemu")
        os.chown(place, user.pw_uid, user.pw_gid)
    else:
        server = socket.create_server(("", int(place)))
    server.listen()
    return server


def connect(place):
    if place.startswith("/"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(place)
        return client
    host, port = place.split(":")
    return socket.create_connection((host, int(port)))


def pump(source, sink):
    try:
        while data := source.recv(1 << 20):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    server = listen(sys.argv[1])
    print("ready", os.getpid(), flush=True)
    while True:
        ends = (server.accept()[0], connect(sys.argv[2]))
        for end in ends:
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pair in (ends, ends[::-1]):
            threading.Thread(target=pump, args=pair, daemon=True).start()


main()
