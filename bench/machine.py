"""What the benchmark ran on."""
import os
import pathlib
import platform
import re
import subprocess

FLAGS = ("popcnt", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_vpopcntdq")
PACKAGES = ("g++", "libgrpc++1.51", "libprotobuf32", "libtbb12", "libhwy1", "libopenblas0-serial", "libopenblas0-pthread",
            "python3-torch", "python3-numpy")


def package_versions():
    versions = {}
    for package in PACKAGES:
        shown = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
        if shown.returncode == 0 and shown.stdout:
            versions[package] = shown.stdout
    return versions


def describe():
    """The machine and its software, as names and values."""
    cpu = pathlib.Path("/proc/cpuinfo").read_text()

    def first(pattern, text, default="unknown"):
        found = re.search(pattern, text, re.MULTILINE)
        return found[1].strip() if found else default

    flags = set(first(r"^flags\s*:(.*)$", cpu, "").split())
    memory = int(first(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), "0")) * 1024
    caches = []
    for index in sorted(pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            caches.append(f"L{level} {size}")
    return {
        "CPU": first(r"^model name\s*:(.*)$", cpu),
        "family/model": f"{first(r'^cpu family.*:(.*)$', cpu)}/{first(r'^model.*:(.*)$', cpu)}",
        "cores": os.cpu_count(),
        "caches": ", ".join(caches),
        "flags": " ".join(flag for flag in FLAGS if flag in flags),
        "virtual": "yes" if "hypervisor" in flags else "no",
        "memory": f"{memory / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "system": first(r'^PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text()),
        "load before": "%.2f" % os.getloadavg()[0],
        "packages": ", ".join(f"{name} {version}" for name, version in package_versions().items()),
    }
