"""Holds the tables of docs/operations.md against `spikeserve --help`: each limit is there, with its default. So are
the flags of the examples in deploy/ and docker/.

flags_test.py SPIKESERVE
"""
import pathlib
import re
import subprocess
import sys

# Of the files in deploy/ and docker/ those with flags.
EXAMPLES = {".service", ".yaml", ".yml", ".md"}
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def main():
    help_text = subprocess.run([sys.argv[1], "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    defaults = dict(re.findall(r"^  (--[\w-]+) \w+=(\S+)", help_text, re.MULTILINE))
    limits = re.search(r"^Limits:\n(.*?)\n\n", help_text, re.MULTILINE | re.DOTALL)[1]
    names = re.findall(r"^  (--[\w-]+)", limits, re.MULTILINE)
    assert len(names) > 10, help_text

    documented = {}
    for flags, values in re.findall(r"^\| (`--.*?) \| (.*?) \|", (REPOSITORY / "docs/operations.md").read_text(), re.MULTILINE):
        for flag, value in zip(re.findall(r"--[\w-]+", flags), values.split(", "), strict=True):
            documented[flag] = value.removesuffix(" s")
    for name in names:
        assert name in documented, f"docs/operations.md does not tell of {name}"
    for name, value in documented.items():
        assert defaults.get(name) == value, f"docs/operations.md says {value} of {name}, --help {defaults.get(name)}"


    # Examples name flags that there are.
    there = set(re.findall(r"--[\w-]+", help_text))
    examples = [path for folder in ("deploy", "docker") for path in (REPOSITORY / folder).rglob("*") if path.suffix in EXAMPLES]
    assert len(examples) > 4, examples
    for path in examples:
        for flag in re.findall(r"(?<![\w-])(--[a-z]+(?:-[a-z]+)*)=", path.read_text()):
            assert flag in there, f"{path} has {flag}, which --help does not"


main()
