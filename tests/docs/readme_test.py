"""Holds the README against the programs: its shell commands are run, and its code stands in the examples.

readme_test.py SPIKESERVE SPIKECTL
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = {
    "cpp": "examples/quickstart/main.cc",
    "python": "examples/python_client.py",
    "js": "examples/node_client.js",
}


def run_examples(address, folder):
    plugin = shutil.which("grpc_python_plugin")
    subprocess.run(["protoc", f"-I{REPOSITORY}/proto", f"--python_out={folder}", f"--grpc_out={folder}",
                    f"--plugin=protoc-gen-grpc={plugin}", "spikeserve/v1/tensor.proto", "spikeserve/v1/functions.proto"],
                   check=True)
    commands = {
        "[2. 1.]": ["/usr/bin/python3", "-B", REPOSITORY / EXAMPLES["python"], address],
        "[ 2, 1 ]": ["node", REPOSITORY / EXAMPLES["js"], address],
    }
    modules = REPOSITORY / "tests/foreign/node/node_modules"
    for wanted, command in commands.items():
        shown = subprocess.run(command, env={**os.environ, "PYTHONPATH": folder, "NODE_PATH": str(modules)}, check=True,
                               stdout=subprocess.PIPE, text=True).stdout
        assert wanted in shown, f"{command} printed {shown}"


def main():
    spikeserve, spikectl = map(pathlib.Path, sys.argv[1:3])
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", (REPOSITORY / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    for language, example in EXAMPLES.items():
        code = [block for kind, block in blocks if kind == language]
        assert code, f"the README shows no {language}"
        for block in code:
            assert block in (REPOSITORY / example).read_text(), f"not in {example}:\n{block}"

    server = subprocess.Popen([spikeserve, "--listen=127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[-1]
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(REPOSITORY / "examples", f"{folder}/examples")
            environment = {**os.environ, "ADDRESS": address,
                           "PATH": f"{spikeserve.parent}:{spikectl.parent}:{os.environ['PATH']}"}
            commands = [block for kind, block in blocks if kind == "sh"]
            assert len(commands) >= 2
            for block in commands:
                subprocess.run(["bash", "-euc", block], cwd=folder, env=environment, check=True)
            run_examples(address, folder)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    # The front door.
    for script in ("demo.sh", "test.sh"):
        assert os.access(REPOSITORY / "scripts" / script, os.X_OK), script


main()
