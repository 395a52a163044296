"""Whether the cost of the streaming functions is linear in T x N, from 1 KB on; with a picture by gnuplot."""
import subprocess

import numpy

from report import summary
from workers import Server

BLOCK_BYTES = 1 << 24  # Larger tensors are this one again and again.


def blocks(function, size, random):
    """Arrays of about `size` bytes, and how often they are repeated."""
    block = min(size, BLOCK_BYTES)
    if function == "spike_cluster":
        # Long where it is large, so that whole pages are repeated in time.
        neurons = min(4096, block // 4)
        return {"v": random.normal(0.25, 0.5, (block // 4 // neurons, neurons)).astype(numpy.float32)}, size // block
    steps = 128
    return {"spikes": random.random((block // steps, steps), numpy.float32) < 0.05}, size // block


FUNCTIONS = {"spike_cluster": {"t_in": 2, "v_threshold": 1.0}, "first_spike_index": {}}


def measure(bench, largest, largest_message):
    """Points: function, variant, bytes of the operand, and the summary of seconds."""
    random = numpy.random.default_rng(2)
    sizes = [1 << exponent for exponent in range(10, largest.bit_length(), 2)]
    if sizes[-1] != largest:
        sizes.append(largest)
    points = []
    server = Server(bench.spikeserve, bench.folder)
    try:
        for function, params in FUNCTIONS.items():
            for size in sizes:
                arrays, times = blocks(function, size, random)
                inputs = bench.save(arrays)
                if times > 1:
                    inputs = {name: {"path": path, "times": times} for name, path in inputs.items()}
                call = {"function": function, "inputs": inputs, "params": params}
                variants = {f"library {threads}": {"what": "library", "threads": threads} for threads in bench.threads}
                # What is repeated has no form of bits, and what is more than a message needs a stream.
                if times == 1 or function == "spike_cluster":
                    if size < largest_message or bench.offers["streams"]:
                        variants["tcp"] = {"what": "client", "address": server.addresses["tcp"]}
                for variant, request in variants.items():
                    repetitions = 2 if size >= 1 << 30 else 20 if size >= 1 << 20 else 200
                    seconds = bench.driver.ask(**call, **request, repetitions=repetitions)["seconds"]
                    points.append({"function": function, "variant": variant, "bytes": size, **summary(seconds)})
    finally:
        server.close()
    return points


def plot(points, path):
    """Draws seconds over bytes, both logarithmic: what is linear has slope 1."""
    series = list(dict.fromkeys((p["function"], p["variant"]) for p in points))
    script = [f"set terminal pngcairo size 1000,700; set output '{path}'", "set logscale xy", "set grid", "set key left top",
              "set xlabel 'bytes of operand (T x N)'", "set ylabel 'ms'", "set format x '10^{%L}'"]
    lines = [f"'-' using 1:2 with linespoints title '{f}, {v}' noenhanced" for f, v in series]
    largest = max(p["bytes"] for p in points)
    slowest = max(p["median"] for p in points) * 1e3
    script.append("plot " + ", ".join([*lines, f"x * {slowest / largest!r} with lines dashtype 2 title 'slope 1'"]))
    for function, variant in series:
        script += [f"{p['bytes']} {p['median'] * 1e3}" for p in points if (p["function"], p["variant"]) == (function, variant)]
        script.append("e")
    subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)
