"""What is measured, and what the project promises of it.

A promise is on medians of one run. `value` takes the medians, in seconds by variant, and the workload's sizes; the
variants are

  pytorch 1, pytorch 2     PyTorch with 1 and 2 threads, as SpikingFlow's functional module has the function; other
                           formulations of it are "pytorch 1, max" and so on
  library 1, library 2     the compute library
  tcp, uds, shm            the C++ client: loopback TCP, a Unix socket, shared memory
  openblas 1, openblas 2   a matrix product (sgemm) of the same size
  memory 1, memory 2       a pass over the operands and results: reading the ones, writing the others
  echo tcp, echo uds       a bare gRPC call with as many bytes, left as they came
  gather tcp, gather uds   the same, copied together once by the server

Of a network that runs step by step the times are for a step: on a stream with one step under way ("tcp"), with a block of
steps in a message ("tcp block"), and by a call of Forward for each step ("tcp forward").
"""
import dataclasses
import typing

import numpy


@dataclasses.dataclass(frozen=True)
class Promise:
    text: str
    value: typing.Callable  # (medians, sizes) -> number; raises KeyError where a variant was not measured.
    at_least: float = None
    at_most: float = None
    unit: str = "x"

    def kept(self, value):
        return value >= self.at_least if self.at_least is not None else value <= self.at_most


def speedup(slow, fast, at_least):
    """The variant `fast` takes at most 1/at_least of the time of `slow`."""
    return Promise(f"{fast}: at least {at_least}x as fast as {slow}", lambda m, s: m[slow] / m[fast], at_least=at_least)


def fastest_pytorch_by(fast):
    """The time of PyTorch's fastest formulation, with its best number of threads, in those of the variant `fast`."""
    def value(medians, _):
        pytorch = [median for name, median in medians.items() if name.startswith("pytorch")]
        if not pytorch:
            raise KeyError("pytorch")
        return min(pytorch) / medians[fast]
    return value


def overhead(ours, limit, at_most):
    """The variant `ours` takes at most at_most times the time of the variants `limit` together."""
    return Promise(f"{ours}: within {at_most}x of {' plus '.join(limit)}",
                   lambda m, s: m[ours] / sum(m[part] for part in limit), at_most=at_most)


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    function: str
    params: dict
    make_inputs: typing.Callable  # (random, quick) -> arrays by name; with `quick` small ones.
    promises: tuple = ()
    kind: str = "call"            # "call": one at a time. "load": the p50 of one, and many at a time. "stream". "steps".
    product: bool = False         # A matrix product is at its heart.
    bits: bool = False            # Its operands are 0/1.


T_IN = {"t_in": 2, "v_threshold": 1.0}


def voltages(steps, neurons):
    """Voltages of which about 7 % reach the threshold of 1."""
    def make(random, quick):
        shape = (steps, neurons // 50 if quick and neurons > 1000 else neurons)
        return {"v": random.normal(0.25, 0.5, shape).astype(numpy.float32)}
    return make


def spike_rows(*shape):
    """0/1 with 5 % ones."""
    def make(random, quick):
        small = (max(1, shape[0] // 50), *shape[1:]) if quick else shape
        return {"spikes": random.random(small, numpy.float32) < 0.05}
    return make


def matrices(rows, cols, bits):
    """Two matrices of 0/1 with 10 % ones, or of floats."""
    def make(random, quick):
        shape = (rows // 16, cols // 16) if quick else (rows, cols)
        x, y = (random.random(shape, numpy.float32) for _ in range(2))
        return {"x": x < 0.1, "y": y < 0.1} if bits else {"x": x, "y": y}
    return make


def labelled_spikes(samples, features, classes):
    def make(random, quick):
        n, m = (samples // 16, features // 16) if quick else (samples, features)
        labels = random.integers(0, classes, n)
        return {"spikes": random.random((n, m), numpy.float32) < 0.1, "labels": numpy.eye(classes, dtype=bool)[labels]}
    return make


def class_labels(count, classes):
    def make(random, quick):
        return {"labels": random.integers(0, classes, count // 50 if quick else count)}
    return make


def kernel(name, rows, cols, bits, promises):
    # A gaussian about as wide as the rows are apart, so that it is neither 0 nor 1.
    params = {"kernel": name, **({"sigma": float(cols) ** 0.5 / 2} if name == "gaussian" else {})}
    return Workload(f"{name} kernel of {'0/1' if bits else 'floats'} {rows:,} x {cols:,}", "kernel_dot_product", params,
                    matrices(rows, cols, bits), promises, product=True, bits=bits)


# Of weights, for spike trains or not, such that 10 % to 20 % of a network's neurons fire at a step.
WEIGHTS = {False: (-2, 2.4), True: (-2, 2.8)}


def digits(steps, batch, features, hidden, classes, spikes):
    """Spike trains, or currents that stay, of labelled samples, and a network of two layers to learn from them."""
    def make(random, quick):
        n = max(1, batch // 16) if quick else batch
        intensities = random.random((n, features), numpy.float32)
        arrays = {"x": random.random((steps, n, features), numpy.float32) < 0.5 * intensities if spikes else intensities,
                  "labels": random.integers(0, classes, n)}
        for name, shape in (("w1", (hidden, features)), ("b1", (hidden,)), ("w2", (classes, hidden)),
                            ("b2", (classes,))):
            low, high = WEIGHTS[spikes]
            arrays[name] = random.uniform(low, high, shape).astype(numpy.float32) / shape[-1] ** 0.5
        return arrays
    return make


CLUSTER_RATE = Promise("library 1: at least 4 GB of voltages a second",
                       lambda m, s: s["input_bytes"] / m["library 1"] / 1e9, at_least=4, unit=" GB/s")

STEPS_OF_A_BLOCK = 16

WORKLOADS = (
    Workload("spike_cluster 100 x 10,000", "spike_cluster", T_IN, voltages(100, 10_000),
             (speedup("pytorch 1", "library 1", 60), CLUSTER_RATE, speedup("pytorch 2", "tcp", 8))),
    Workload("spike_cluster 100 x 100,000", "spike_cluster", T_IN, voltages(100, 100_000), (CLUSTER_RATE,)),
    Workload("first_spike_index 1,024 x 100 x 100", "first_spike_index", {}, spike_rows(1024, 100, 100),
             (speedup("pytorch 2", "tcp", 30),), bits=True),
    *(kernel("linear", rows, cols, True, (speedup("openblas 2", "library 2", 6),))
      for rows, cols in ((1024, 10_000), (4096, 4096))),
    kernel("gaussian", 1024, 10_000, True, (speedup("pytorch 2", "tcp", 5),)),
    Workload("spike_similar_loss 1,024 x 10,000 with gradient", "spike_similar_loss",
             {"kernel_type": "linear", "loss_type": "mse"}, labelled_spikes(1024, 10_000, 10),
             (speedup("pytorch 2", "tcp", 4),), bits=True),
    *(kernel(name, rows, cols, False,
             tuple(overhead(f"library {threads}", (f"openblas {threads}", f"memory {threads}"), 1.15)
                   for threads in (1, 2)))
      for name in ("linear", "gaussian") for rows, cols in ((1024, 10_000), (4096, 4096))),
    Workload("redundant_one_hot 100,000 x 100", "redundant_one_hot", {"num_classes": 10, "n": 10},
             class_labels(100_000, 10), (speedup("pytorch 1", "library 1", 50), speedup("pytorch 2", "library 2", 50))),
    *(Workload(f"train_step 64-256-10, 16 steps, batch 64, {what}", "train_step",
               {"num_classes": 10, "tau": 2.0, "alpha": 4.0, **({} if spikes else {"repeat_input": 16})},
               digits(16, 64, 64, 256, 10, spikes),
               (Promise("tcp: at least 4x as fast as the fastest of PyTorch", fastest_pytorch_by("tcp"), at_least=4),
                Promise("library 2: at least 4x as fast as the fastest of PyTorch", fastest_pytorch_by("library 2"),
                        at_least=4)))
      for what, spikes in (("constant currents", False), ("spike trains", True))),
    Workload("steps of 64-256-10, batch 1", "run", {"tau": 2.0, "alpha": 4.0}, digits(STEPS_OF_A_BLOCK, 1, 64, 256, 10, True),
             tuple(promise for route in ("tcp", "uds") for promise in (
                 overhead(route, (f"{route} forward",), 1.2), speedup(route, f"{route} block", 4))), kind="steps"),
    Workload("4 KB call", "spike_cluster", T_IN, voltages(100, 10), (
        Promise("tcp: p50 within 1.15x of echo tcp", lambda m, s: m["tcp"] / m["echo tcp"], at_most=1.15),
        Promise("tcp, 32 at a time: at least 0.85 of the rate of echo tcp", lambda m, s: m["echo tcp x32"] / m["tcp x32"],
                at_least=0.85)), kind="load"),
    Workload("32 MB request (spike_cluster 128 x 65,536)", "spike_cluster", T_IN, voltages(128, 65_536),
             (overhead("tcp", ("echo tcp",), 1.2), overhead("shm", ("library 2",), 1.3))),
    Workload("8 GB streamed (spike_cluster 131,072 x 16,384)", "spike_cluster", T_IN, voltages(1024, 16_384),
             (Promise("the server's peak memory: below 300 MB", lambda m, s: s["peak_memory"] / 1e6, at_most=300,
                      unit=" MB"),), kind="stream"),
)
STREAM_REPEATS = 128  # The 64 MB that are made for it, so many times.
