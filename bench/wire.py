"""Counts the bytes of a connection: a TCP proxy in front of a server.

Whatever a client and a server make of a call, this is what goes over the wire: the messages, HTTP/2's frames around
them, and now and then a ping.
"""
import socket
import threading


class CountingProxy:
    """Forwards connections to `target`, "HOST:PORT". `address` is where it listens."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sent = 0      # By clients.
        self.received = 0  # By clients.
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.forward, args=(client, server, "sent"), daemon=True).start()
            threading.Thread(target=self.forward, args=(server, client, "received"), daemon=True).start()

    def forward(self, source, sink, counter):
        try:
            while data := source.recv(1 << 20):
                # Each counter has one connection's one thread that adds to it.
                setattr(self, counter, getattr(self, counter) + len(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def count(self, call):
        """Makes the call, which must go through here, and returns the bytes that it sent and received."""
        before = self.sent, self.received
        call()
        return self.sent - before[0], self.received - before[1]

    def close(self):
        self.listener.close()
