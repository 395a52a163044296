#!/usr/bin/python3
"""Compares the library and the service with PyTorch, with bare gRPC and with the limits of the machine, in one run.

scripts/bench.sh installs and builds what this needs, and runs it; docs/performance.md tells what the columns are.
"""
import argparse
import datetime
import json
import pathlib
import re
import sys
import tempfile

import linearity
import machine
import report
from measure import Bench, Measurement
from workers import Worker
from workloads import WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build/release", help="the build folder")
    parser.add_argument("--quick", action="store_true", help="small operands, one turn: shows that all works")
    parser.add_argument("--only", default="", metavar="REGEX", help="only the workloads whose name has a match")
    parser.add_argument("--seconds", type=float, default=10, help="for the turns of each workload (default: 10)")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE",
                        help="write the report to FILE as Markdown, and beside it as .json")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE.png", help="measure and draw the cost by size, too")
    parser.add_argument("--plot-up-to", type=int, default=1 << 30, metavar="BYTES",
                        help="the largest size of it (default: 1 GiB; with 8589934592, 8 GiB)")
    parser.add_argument("--allow-missing", action="store_true",
                        help="leave out PyTorch and OpenBLAS where they are not installed")
    return parser.parse_args()


def start_pytorch(allow_missing):
    try:
        worker = Worker(["/usr/bin/python3", "-B", str(HERE / "pytorch_reference.py"), "--serve"])
        return worker, worker.ask(about=True)
    except Exception:
        if not allow_missing:
            raise
        return None, None


def start_blas(build, allow_missing):
    program = build / "bench/bench_blas"
    if allow_missing and not program.exists():
        return None
    return Worker([str(program)])


def progress(message):
    print(message, file=sys.stderr, flush=True)


def run(arguments, folder):
    build = arguments.build
    pytorch, about_pytorch = start_pytorch(arguments.allow_missing)
    blas = start_blas(build, arguments.allow_missing)
    driver = Worker([str(build / "bench/bench_driver")])
    formulations = about_pytorch["formulations"] if about_pytorch else {}
    bench = Bench(driver, blas, pytorch, formulations, [str(build / "server/spikeserve")],
                  [str(build / "bench/bench_echo_server")], folder, arguments.seconds, arguments.quick)
    description = machine.describe()
    if about_pytorch:
        description["PyTorch"] = f"{about_pytorch['pytorch']}, its BLAS is {about_pytorch['blas']}"
    if blas is not None:
        description["OpenBLAS"] = blas.ask(about=True)["openblas"]
    progress("the machine's limits")
    description.update(bench.machine_limits())
    description["date"] = datetime.date.today().isoformat()

    results = []
    for workload in WORKLOADS:
        if not re.search(arguments.only, workload.name):
            continue
        progress(workload.name)
        result = Measurement(bench, workload).run()
        result["promises"] = report.judge(workload, result)
        results.append(result)
        for file in folder.glob("*.npy"):
            file.unlink()
    collected = {"machine": description, "quick": arguments.quick, "results": results}
    if arguments.plot:
        progress("cost by size")
        collected["linearity"] = linearity.measure(bench, 1 << 16 if arguments.quick else arguments.plot_up_to)
        linearity.plot(collected["linearity"], arguments.plot)
    for worker in (driver, blas, pytorch):
        if worker is not None:
            worker.close()
    return collected


def main():
    arguments = parse_arguments()
    # In memory where there is room, so that no disk is measured.
    with tempfile.TemporaryDirectory(prefix="spikeserve-bench-") as folder:
        collected = run(arguments, pathlib.Path(folder))
    text = report.markdown(collected)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
        arguments.output.with_suffix(".json").write_text(json.dumps(collected, indent=1) + "\n")


if __name__ == "__main__":
    main()
