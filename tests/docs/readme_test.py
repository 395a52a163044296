"""Holds the README and the pages in docs/ against the programs: their shell commands are run, and their code stands in
the examples.

readme_test.py SPIKESERVE SPIKECTL TRAIN_DEMO
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
    "cpp": ["examples/quickstart/main.cc", "examples/train.cc"],
    "python": ["examples/python_client.py", "examples/train_client.py"],
    "js": ["examples/node_client.js", "examples/train_client.js"],
}


def run_examples(address, train_demo, folder):
    plugin = shutil.which("grpc_python_plugin")
    protos = sorted(str(path.relative_to(REPOSITORY / "proto")) for path in REPOSITORY.glob("proto/spikeserve/v1/*.proto"))
    subprocess.run(["protoc", f"-I{REPOSITORY}/proto", f"--python_out={folder}", f"--grpc_out={folder}",
                    f"--plugin=protoc-gen-grpc={plugin}", *protos], check=True)
    modules = REPOSITORY / "tests/foreign/node/node_modules"
    environment = {**os.environ, "PYTHONPATH": folder, "NODE_PATH": str(modules)}

    def run(command):
        return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout

    def python(name):
        return ["/usr/bin/python3", "-B", REPOSITORY / "examples" / name, address]

    def node(name):
        return ["node", REPOSITORY / "examples" / name, address]

    for wanted, command in {"[2. 1.]": python("python_client.py"), "[ 2, 1 ]": node("node_client.js")}.items():
        shown = run(command)
        assert wanted in shown, f"{command} printed {shown}"

    # Few epochs: what a digit's class is would be guessed right in a tenth of the cases.
    for command in ([*python("train_client.py"), "8"], [*node("train_client.js"), "8"],
                    [train_demo, "--server", address, "--epochs", "8"]):
        shown = run(command)
        assert len(re.findall(r"^epoch \d/8  loss \d.\d{4}  training .*%  test .*%$", shown, re.MULTILINE)) == 8, shown
        accuracy = re.search(r"^([\d.]+)% of 360 held-out digits are classified right$", shown, re.MULTILINE)
        assert accuracy and float(accuracy[1]) > 75, f"{command} printed {shown}"


def main():
    spikeserve, spikectl, train_demo = map(pathlib.Path, sys.argv[1:4])
    blocks = [block for page in ("README.md", "docs/training.md", "docs/operations.md")
              for block in re.findall(r"^```(\w+)\n(.*?)^```", (REPOSITORY / page).read_text(), re.MULTILINE | re.DOTALL)]
    for language, examples in EXAMPLES.items():
        code = [block for kind, block in blocks if kind == language]
        assert code, f"the documentation shows no {language}"
        sources = "".join((REPOSITORY / path).read_text() for path in examples)
        for block in code:
            assert block in sources, f"not in {examples}:\n{block}"

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
            run_examples(address, train_demo, folder)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    # The front door.
    for script in ("demo.sh", "test.sh"):
        assert os.access(REPOSITORY / "scripts" / script, os.X_OK), script


main()
