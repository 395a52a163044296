#!/usr/bin/env python3
"""What a server does that is offered ten times the load it can take: overload.py SPIKESERVE SPIKECTL [--seconds S]

The server has one processor and one thread, the load generator another processor, so that neither takes the other's.
Three turns of `spikectl load`, all of the same call:

  alone     one caller: the latency without load
  full      two callers, so that the server never waits: the most calls a second that it can answer
  overload  calls begun at ten times that pace

and in the last one, what was answered a second (of "full"), and how long that took (of "alone"). The three follow each
other in each of several rounds, so that a machine that is slower for a while is so for all of them; medians over the rounds.
"""

import argparse
import json
import os
import statistics
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


def measure(args, address, call):
    """One round: the reports of the three turns."""
    seconds = args.seconds / args.rounds
    alone = load(args.spikectl, address, seconds, *call, "--concurrency", "1")
    full = load(args.spikectl, address, seconds, *call, "--concurrency", "2")
    rate = 10 * answered_per_second(full)
    over = load(args.spikectl, address, seconds, *call, "--concurrency", "1000", "--rate", f"{rate:.3f}")
    return {"alone": alone, "full": full, "overload": over}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spikeserve")
    parser.add_argument("spikectl")
    parser.add_argument("--seconds", type=float, default=60, help="of each turn, in all rounds together")
    # So few that each turn answers more than a thousand calls: an idle server takes a burst that waits for up to
    # --max-queue-delay before it knows that it is overloaded. These first calls of a turn, at most 7 of 15 ms, are
    # counted; in turns of a few seconds they alone are the hundredth part above the p99.
    parser.add_argument("--rounds", type=int, default=3)
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
        rounds = [measure(args, address, call) for _ in range(args.rounds)]
    finally:
        server.terminate()
        server.wait()

    def median(of):
        return statistics.median(of(each) for each in rounds)

    print("| | calls/s offered | answered/s | p50 ms | p99 ms |")
    print("|---|---:|---:|---:|---:|")
    for name in rounds[0]:
        offered = f"{median(lambda each: each[name]['rate']):.0f}" if "rate" in rounds[0][name] else "-"
        answered = median(lambda each: answered_per_second(each[name]))
        p50, p99 = (median(lambda each: each[name]["latency_ms"][quantile]) for quantile in ("p50", "p99"))
        print(f"| {name} | {offered} | {answered:.1f} | {p50:.1f} | {p99:.1f} |")
    goodput = median(lambda each: answered_per_second(each["overload"]) / answered_per_second(each["full"]))
    slower = median(lambda each: each["overload"]["latency_ms"]["p99"] / each["alone"]["latency_ms"]["p99"])
    print(f"\nGoodput under overload: {100 * goodput:.1f} % of the most (promised: at least 90 %).")
    print(f"p99 of the answered calls: {slower:.2f}x that of a call alone (promised: below 3x).")
    others = {code: error for each in rounds for code, error in each["overload"]["errors"].items()
              if code != "RESOURCE_EXHAUSTED"}
    if others:
        sys.exit(f"overload.py: errors that are no refusals: {others}")
    if goodput < 0.9 or slower >= 3:
        sys.exit("overload.py: not as promised")


if __name__ == "__main__":
    main()
