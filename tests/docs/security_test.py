"""Does what docs/security.md tells to do: its shell blocks are one script, with a free port in place of the page's.

security_test.py SPIKESERVE SPIKECTL
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PORT = "50443"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def main():
    spikeserve, spikectl = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    page = (REPOSITORY / "docs/security.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4, blocks
    assert sum(block.rstrip().endswith("&") for block in blocks) == 1, "no block starts the server"
    port = free_port()
    until_it_listens = (f"for _ in {{1..300}}; do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; "
                        "sleep 0.1; done")
    script = ["trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for block in blocks:
        script.append(block.replace(PORT, port))
        if block.rstrip().endswith("&"):
            script.append(until_it_listens)
    environment = {**os.environ, "PATH": f"{spikeserve.parent}:{spikectl.parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        shown = subprocess.run(["bash", "-euc", "\n".join(script)], cwd=folder, env=environment, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
    print(shown)
    assert f"127.0.0.1:{port} serves" in shown
    assert "calls_accepted" in shown


main()
