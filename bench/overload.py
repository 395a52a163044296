#!/usr/bin/env python3
"""What a server does that is offered ten times the load it can take: overload.py SPIKESERVE SPIKECTL [--seconds S]

The server has one processor and one thread, the load generator another processor, so that neither takes the other's.
Three turns of `spikectl load`, all of the same call:

  alone     one caller: the latency without load
  full      two callers, so that the server never waits: the most calls a second that it can answer
  overload  calls begun at ten times that pace

and in the last one, what was answered a second (of "full"), and how long that took (of "alone").
"""

import argparse
import json
import os
import subprocess
import sys


def load(spikectl, address, seconds, *flags):
    command = [
        "taskset", "-c", "1", spikectl, "load", "--server", address, "--json", "--duration", f"{seconds}s",
        *flags
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def answered_per_second(report):
    refused = sum(error["count"] for error in report["errors"].values())
    return (report["calls"] - refused) / report["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spikeserve")
    parser.add_argument("spikectl")
    parser.add_argument("--seconds", type=float, default=30)
    # Of few bytes in both directions, so that the load generator can call ten times as often.
    parser.add_argument("--call", default="--method=spike-similar-loss --size=32KB --samples=4096")
    parser.add_argument("--flag", action="append", default=[], help="a flag of the server")
    args = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("overload.py: needs two processors")

    server = subprocess.Popen(["taskset", "-c", "0", args.spikeserve, "--listen=127.0.0.1:0", "--threads=1",
                               "--log-level=off", *args.flag], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[-1]
        call = args.call.split()
        load(args.spikectl, address, 2, *call, "--concurrency", "2")  # The server learns what a call takes.
        alone = load(args.spikectl, address, args.seconds, *call, "--concurrency", "1")
        full = load(args.spikectl, address, args.seconds, *call, "--concurrency", "2")
        rate = 10 * answered_per_second(full)
        over = load(args.spikectl, address, args.seconds, *call, "--concurrency", "1000", "--rate", f"{rate:.3f}")
    finally:
        server.terminate()
        server.wait()

    goodput = answered_per_second(over) / answered_per_second(full)
    slower = over["latency_ms"]["p99"] / alone["latency_ms"]["p99"]
    print("| | calls/s offered | answered/s | p50 ms | p99 ms |")
    print("|---|---:|---:|---:|---:|")
    for name, report in (("alone", alone), ("full", full), ("overload", over)):
        offered = f"{report['rate']:.0f}" if "rate" in report else "-"
        latency = report["latency_ms"]
        print(f"| {name} | {offered} | {answered_per_second(report):.1f} | {latency['p50']:.1f} | {latency['p99']:.1f} |")
    print(f"\nGoodput under overload: {100 * goodput:.1f} % of the most (promised: at least 90 %).")
    print(f"p99 of the answered calls: {slower:.2f}x that of a call alone (promised: below 3x).")
    others = {code: error for code, error in over["errors"].items() if code != "RESOURCE_EXHAUSTED"}
    if others:
        sys.exit(f"overload.py: errors that are no refusals: {others}")


if __name__ == "__main__":
    main()
