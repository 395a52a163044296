"""Measures one workload: its variants take turns, so that noise hits all alike."""
import math
import time

import numpy

from report import summary
from wire import CountingProxy
from workers import Server
from workloads import STEPS_OF_A_BLOCK, STREAM_REPEATS

# A variant that is faster than this runs several times in its turn, so that its turn is worth it.
TURN_SECONDS = 0.03
MOST_REPETITIONS = 50


class Bench:
    """What all workloads are measured with.

    `driver`, `blas` and `pytorch` are workers (the last two may be None), `formulations` what PyTorch knows of each
    function, `spikeserve` and `echo` commands of servers, `budget` is the seconds for a workload's turns.
    """

    def __init__(self, driver, blas, pytorch, formulations, spikeserve, echo, folder, budget, quick):
        self.driver, self.blas, self.pytorch, self.formulations = driver, blas, pytorch, formulations
        self.spikeserve, self.echo = spikeserve, echo
        self.folder, self.budget, self.quick = folder, budget, quick
        self.threads = (1, 2)

    def save(self, arrays):
        """The arrays in files, by name."""
        paths = {}
        for name, array in arrays.items():
            paths[name] = str(self.folder / f"{name}.{time.monotonic_ns()}.npy")
            numpy.save(paths[name], array)
        return paths

    def take_turns(self, variants):
        """Summaries of the variants' seconds; `variants` are functions of a number of repetitions, by name."""
        seconds = {name: [] for name in variants}
        repetitions = {}
        for name, run in variants.items():
            fastest = min(run(1))  # Warms up.
            if not self.quick:
                fastest = min(fastest, *run(1))
            repetitions[name] = min(MOST_REPETITIONS, max(1, math.ceil(TURN_SECONDS / max(fastest, 1e-9))))
        end = time.monotonic() + self.budget
        turns = 0
        while turns < 1 or (not self.quick and (turns < 3 or time.monotonic() < end) and turns < 100):
            for name, run in variants.items():
                seconds[name] += run(1 if self.quick else repetitions[name])
            turns += 1
        return {name: summary(values) for name, values in seconds.items()}

    def bit_pairs_per_second(self):
        return max(self.driver.ask(what="bits")["bit_pairs_per_second"] for _ in range(5))

    def flops_per_second(self, threads):
        if self.blas is None:
            return None
        n = 512 if self.quick else 2048
        reply = self.blas.ask(n=n, k=n, m=n, threads=threads, repetitions=3 if self.quick else 10)
        return 2 * n**3 / min(reply["seconds"])

    def machine_limits(self):
        """What the machine can do at most, measured now; by name."""
        total = 1 << (22 if self.quick else 28)

        def bandwidth(read, write, threads):
            seconds = self.driver.ask(what="memory", read_bytes=read, write_bytes=write, threads=threads,
                                      repetitions=3 if self.quick else 10)["seconds"]
            return (read + write) / min(seconds) / 1e9

        limits = {}
        for threads in self.threads:
            of = "1 thread" if threads == 1 else f"{threads} threads"
            limits[f"memory read, {of}"] = f"{bandwidth(total, 0, threads):.1f} GB/s"
            limits[f"memory written, {of}"] = f"{bandwidth(0, total, threads):.1f} GB/s"
            flops = self.flops_per_second(threads)
            if flops:
                limits[f"sgemm 2,048 x 2,048 x 2,048, {of}"] = f"{flops / 1e9:.0f} GFLOP/s"
        limits["pairs of bits multiplied and counted, 1 thread"] = f"{self.bit_pairs_per_second() / 1e12:.2f} T/s"
        return limits


class Measurement:
    """One workload on one bench."""

    def __init__(self, bench, workload):
        self.bench, self.workload = bench, workload
        random = numpy.random.default_rng(1)
        self.arrays = workload.make_inputs(random, bench.quick)
        self.inputs = bench.save(self.arrays)
        self.call = {"function": workload.function, "inputs": self.inputs, "params": workload.params}
        self.sizes = {"input_bytes": sum(a.nbytes for a in self.arrays.values()), "output_bytes": self.output_bytes()}
        self.digests = {}
        self.shared_memory_in_use = False

    def output_bytes(self):
        """The results' as the library gives them."""
        function, arrays = self.workload.function, self.arrays
        if function == "spike_cluster":
            return 12 * arrays["v"].shape[1]
        if function == "first_spike_index":
            return 4 * arrays["spikes"][..., 0].size
        if function == "kernel_dot_product":
            return 4 * len(arrays["x"]) * len(arrays["y"])
        if function == "spike_similar_loss":
            return 4 * arrays["spikes"].size
        if function == "run":
            return arrays["x"][..., 0].size * len(arrays["w2"])
        if function == "train_step":
            return sum(arrays[name].nbytes for name in ("w1", "b1", "w2", "b2"))
        return 4 * arrays["labels"].size * self.workload.params["num_classes"] * self.workload.params["n"]

    def touched_bytes(self):
        """The bytes that must be read at least: 0/1 as bits."""
        if not self.workload.bits:
            return self.sizes["input_bytes"]
        return sum(a.size // 8 if a.dtype == bool else a.nbytes for a in self.arrays.values())

    # The variants: functions of a number of repetitions.

    def asked(self, worker, variant, **request):
        """Asks the worker; the first time also for the results' digest, which all must agree on."""
        def run(repetitions):
            first = variant not in self.digests and "function" in request
            reply = worker.ask(**request, repetitions=repetitions, digest=first)
            if first:
                self.digests[variant] = reply["digest"]
            self.shared_memory_in_use = reply.get("shared_memory_in_use", self.shared_memory_in_use)
            return reply["seconds"]
        return run

    def local_variants(self):
        bench, variants = self.bench, {}
        for threads in bench.threads:
            if bench.pytorch is not None:
                for i, formulation in enumerate(bench.formulations[self.workload.function]):
                    name = f"pytorch {threads}" if i == 0 else f"pytorch {threads}, {formulation}"
                    variants[name] = self.asked(bench.pytorch, name, **self.call, threads=threads,
                                                formulation=formulation)
            name = f"library {threads}"
            variants[name] = self.asked(bench.driver, name, what="library", **self.call, threads=threads)
            variants[f"memory {threads}"] = self.asked(
                bench.driver, f"memory {threads}", what="memory", read_bytes=self.touched_bytes(),
                write_bytes=self.sizes["output_bytes"], threads=threads)
            if self.workload.product and bench.blas is not None:
                n, m = self.arrays["x"].shape
                variants[f"openblas {threads}"] = self.asked(
                    bench.blas, f"openblas {threads}", n=n, k=len(self.arrays["y"]), m=m, threads=threads)
        return variants

    def client_variants(self, server, shared):
        variants = {route: self.asked(self.bench.driver, route, what="client", address=address, **self.call)
                    for route, address in server.addresses.items()}
        variants["shm"] = self.asked(self.bench.driver, "shm", what="client", address=shared.addresses["uds"],
                                     shared_memory=True, **self.call)
        return variants

    def echo_variants(self, echo):
        variants = {}
        for route, address in echo.addresses.items():
            for name, method in (("echo", "Receive"), ("gather", "Gather")):
                variants[f"{name} {route}"] = self.asked(
                    self.bench.driver, f"{name} {route}", what="echo", address=address, method=method,
                    request_bytes=self.sizes["request_bytes"])
        return variants

    def count_bytes(self, server):
        proxy = CountingProxy(server.addresses["tcp"])
        call = self.asked(self.bench.driver, "proxy", what="client", address=proxy.address, **self.call)
        call(1)  # Connects.
        self.sizes["request_bytes"], self.sizes["response_bytes"] = proxy.count(lambda: call(1))
        proxy.close()

    def start_servers(self):
        spikeserve = Server(self.bench.spikeserve, self.bench.folder)
        self.count_bytes(spikeserve)
        echo = Server([*self.bench.echo, f"--reply-bytes={self.sizes['response_bytes']}"], self.bench.folder)
        return spikeserve, echo

    def check_digests(self):
        """All have computed the same."""
        names = list(self.digests)
        for name in names[1:]:
            for one, other in zip(self.digests[names[0]], self.digests[name], strict=True):
                if not math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6):
                    raise AssertionError(f"{self.workload.name}: {names[0]} computes {self.digests[names[0]]}, "
                                         f"{name} {self.digests[name]}")

    def limit(self, times):
        """The least time that two threads can need, and what it is for."""
        candidates = [(times["memory 2"]["median"], "memory")]
        function, arrays = self.workload.function, self.arrays
        products = 0
        if function == "kernel_dot_product":
            products = len(arrays["x"]) * len(arrays["y"]) * arrays["x"].shape[1]
        elif function == "spike_similar_loss":
            products = len(arrays["spikes"]) * arrays["spikes"].size // 2  # The similarity is symmetric.
        if products and self.workload.bits:
            candidates.append((products / self.bench.bit_pairs_per_second() / 2, "bits multiplied and counted"))
        if "openblas 2" in times and not self.workload.bits:
            candidates.append((times["openblas 2"]["median"] + times["memory 2"]["median"], "sgemm and memory"))
        if function == "spike_similar_loss" and (flops := self.bench.flops_per_second(2)):
            # The gradient is a product of floats with 0/1.
            candidates.append((4 * products / flops, "floating-point operations of the gradient"))
        return max(candidates)

    # The kinds of workloads.

    def run(self):
        times = {"call": self.run_calls, "load": self.run_load, "stream": self.run_stream,
                 "steps": self.run_steps}[self.workload.kind]()
        self.check_digests()
        result = {"workload": self.workload.name, "times": times, "sizes": self.sizes}
        if "memory 2" in times:
            seconds, what = self.limit(times)
            times["limit"] = summary([seconds])
            result["limit"] = what
        return result

    def run_calls(self):
        spikeserve, echo = self.start_servers()
        # Memory that is shared counts as the server's, too: so it is shared with another server.
        shared = Server([*self.bench.spikeserve, "--shared-memory"], self.bench.folder, name="shared")
        try:
            variants = {**self.local_variants(), **self.client_variants(spikeserve, shared), **self.echo_variants(echo)}
            times = self.bench.take_turns(variants)
            if not self.shared_memory_in_use:
                del times["shm"]  # The operands are too small for it, and were sent.
            self.sizes["peak_memory"] = spikeserve.peak_memory()
            return times
        finally:
            for server in (spikeserve, shared, echo):
                server.close()

    def run_load(self):
        """The p50 of one call at a time, and the time per call of 32 at a time."""
        bench = self.bench
        spikeserve, echo = self.start_servers()
        seconds = 0.1 if bench.quick else 1.0
        p50s, per_call = {}, {}
        try:
            times = bench.take_turns(self.local_variants())
            for _ in range(1 if bench.quick else 7):
                for prefix, server in (("", spikeserve), ("echo ", echo)):
                    for route, address in server.addresses.items():
                        request = self.call if prefix == "" else {"method": "Receive",
                                                                  "request_bytes": self.sizes["request_bytes"]}
                        for concurrency, into in ((1, p50s), (32, per_call)):
                            reply = bench.driver.ask(what="load", address=address, concurrency=concurrency,
                                                     seconds=seconds, **request)
                            value = reply["p50"] if concurrency == 1 else 1 / reply["calls_per_second"]
                            into.setdefault(prefix + route, []).append(value)
            self.sizes["peak_memory"] = spikeserve.peak_memory()
        finally:
            spikeserve.close()
            echo.close()
        times.update({name: summary(values) for name, values in p50s.items()})
        times.update({name + " x32": summary(values) for name, values in per_call.items()})
        return times

    def run_steps(self):
        """A step of a network: on a stream alone and in a block, and as a call."""
        def step(variant, steps, **request):
            run = self.asked(self.bench.driver, variant, inputs=self.inputs,
                             params={**self.workload.params, "steps": steps}, **request)
            return lambda repetitions: [seconds / steps for seconds in run(repetitions)]

        spikeserve = Server(self.bench.spikeserve, self.bench.folder)
        try:
            variants = {"library 1": step("library 1", 1, what="library", function="run", threads=1)}
            for route, address in spikeserve.addresses.items():
                for suffix, function, steps in (("", "run", 1), (" forward", "forward", 1),
                                                (" block", "run", STEPS_OF_A_BLOCK)):
                    variants[route + suffix] = step(route + suffix, steps, what="client", function=function,
                                                    address=address)
            times = self.bench.take_turns(variants)
            self.sizes["peak_memory"] = spikeserve.peak_memory()
            return times
        finally:
            spikeserve.close()

    def run_stream(self):
        """One call on a tensor that no message holds: the rows of the inputs again and again."""
        bench = self.bench
        times = 2 if bench.quick else STREAM_REPEATS
        inputs = {name: {"path": path, "times": times} for name, path in self.inputs.items()}
        self.sizes["input_bytes"] *= times
        request = {**self.call, "inputs": inputs}
        spikeserve = Server(bench.spikeserve, bench.folder)
        try:
            seconds = {route: bench.driver.ask(what="client", address=address, repetitions=1, **request)["seconds"]
                       for route, address in spikeserve.addresses.items()}
            self.sizes["peak_memory"] = spikeserve.peak_memory()
        finally:
            spikeserve.close()
        return {route: summary(values) for route, values in seconds.items()}
