"""Holds the tables of docs/operations.md against `spikeserve --help`: each limit is there, with its default.

flags_test.py SPIKESERVE
"""
import pathlib
import re
import subprocess
import sys

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


main()
