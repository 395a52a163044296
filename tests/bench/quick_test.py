"""The benchmark runs to its end: all variants compute the same, and every workload has its times.

quick_test.py BUILD
"""
import json
import pathlib
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
from workloads import WORKLOADS


def main():
    with tempfile.TemporaryDirectory() as folder:
        output, plot = pathlib.Path(folder) / "report.md", pathlib.Path(folder) / "cost.png"
        subprocess.run(["/usr/bin/python3", "-B", BENCH / "run.py", "--build", sys.argv[1], "--quick", "--allow-missing",
                        "--output", output, "--plot", plot], check=True, stdout=subprocess.DEVNULL)
        text = output.read_text()
        collected = json.loads(output.with_suffix(".json").read_text())
        assert plot.read_bytes().startswith(b"\x89PNG")
    assert [r["workload"] for r in collected["results"]] == [w.name for w in WORKLOADS]
    for workload, result in zip(WORKLOADS, collected["results"]):
        assert workload.name in text
        assert [p["promise"] for p in result["promises"]] == [p.text for p in workload.promises]
        if workload.kind == "stream":
            continue
        times = result["times"]
        if workload.kind == "steps":
            for variant in ("library 1", "tcp", "tcp forward", "tcp block", "uds", "uds forward", "uds block"):
                assert 0 < times[variant]["min"] <= times[variant]["median"], (workload.name, variant)
            continue
        for variant in ("library 1", "library 2", "tcp", "uds", "memory 2", "echo tcp", "echo uds", "limit"):
            assert 0 < times[variant]["min"] <= times[variant]["median"], (workload.name, variant)
        if workload.kind == "load":
            assert times["tcp x32"]["median"] > 0 and times["echo tcp x32"]["median"] > 0
        else:
            assert times["gather tcp"]["median"] > 0
        if workload.name.startswith("32 MB"):
            assert times["shm"]["median"] > 0
        for size in ("request_bytes", "response_bytes", "peak_memory"):
            assert result["sizes"][size] > 0, (workload.name, size)
    points = collected["linearity"]
    assert {p["function"] for p in points} == {"spike_cluster", "first_spike_index"}
    assert min(p["bytes"] for p in points) == 1 << 10


main()
