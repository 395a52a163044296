"""The processes that measure and are measured.

A worker answers requests: a JSON object a line on its standard input, an object a line on its standard output. So the
benchmark can let programs in C++ and Python take turns, and noise hits all alike. What each worker can be asked is told
where it is written: driver.cc, blas.cc, pytorch_reference.py. Measurements are answered with {"seconds": [...]}.
"""
import ctypes
import json
import pathlib
import re
import signal
import subprocess


PR_SET_PDEATHSIG = 1


class WorkerError(Exception):
    pass


def die_with_parent():
    """In a new process: it ends when the benchmark does, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Worker:
    """A program that answers requests, until it is closed."""

    def __init__(self, command):
        self.name = pathlib.Path(command[0] if len(command) == 1 else command[-2]).name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.name} ended with exit code {self.process.wait()} when asked {request}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.name}: {reply['error']} (asked {request})")
        return reply

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Server:
    """A server process of its own, on TCP and on a Unix socket, until it is closed.

    `addresses` has them by "tcp" and "uds".
    """

    def __init__(self, command, folder, name=None):
        path = pathlib.Path(folder) / f"{name or pathlib.Path(command[0]).name}.sock"
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen([*command, "--listen=127.0.0.1:0", f"--listen=unix:{path}"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=die_with_parent)
        lines = [self.process.stdout.readline() for _ in range(2)]
        if not all(" listening on " in line for line in lines):
            raise WorkerError(f"{command[0]} does not listen: {lines}")
        self.addresses = dict(zip(("tcp", "uds"), (line.split()[-1] for line in lines)))

    def peak_memory(self):
        """The most bytes of memory that the process has had."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
