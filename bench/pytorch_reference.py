#!/usr/bin/python3
"""What the benchmark compares with: the functions as a PyTorch user writes them, and their times.

pytorch_reference.py --check GOLDEN    compares the functions with the results of the reference in tests/golden
pytorch_reference.py --serve           answers requests, a JSON object a line, as bench/workers.py tells

Vectorised over neurons, samples and pairs; a loop over time only where a step depends on the one before. A function of
which there is more than one formulation has them all: first that of SpikingFlow's functional module, which its users
call, and then others that are faster.
"""
import argparse
import ctypes
import json
import pathlib
import sys
import time

import numpy
import torch
import torch.nn.functional as F


def spike_cluster(v, v_threshold, t_in):
    """The spike clusters of each neuron of v [T, N]: n_o [N], k_positive and k_negative [T, N]."""
    steps, neurons = v.shape
    fires = v >= v_threshold
    v_min = v.min()
    # Steps from each neuron's last spike. With t_in = 0 the reference takes step 0 for one that follows a spike.
    since = torch.full((neurons,), float("inf")) if t_in > 0 else torch.zeros(neurons) - 1
    n_o = torch.zeros(neurons)
    size = torch.full((neurons,), float("inf"))
    smallest = torch.full((neurons,), float("inf"))
    last = torch.full((neurons,), -1)
    k_negative = torch.full((neurons,), -1)
    # A candidate at the minimum of all voltages does not count.
    largest = v_min.repeat(neurons)
    k_positive = torch.full((neurons,), -1)

    def end_clusters(ends):
        nonlocal smallest, k_negative
        smaller = ends & (size < smallest)
        smallest = torch.where(smaller, size, smallest)
        k_negative = torch.where(smaller, last, k_negative)

    def consider(step, quiet):
        """`step` is a candidate where the `quiet` steps up to now, from t_in steps before it on, have no spike."""
        nonlocal largest, k_positive
        larger = (since >= quiet) & (v[step] > largest)
        largest = torch.where(larger, v[step], largest)
        k_positive = torch.where(larger, step, k_positive)

    for t in range(steps):
        fire = fires[t]
        since = since + 1
        opens = fire & (since > t_in)
        end_clusters(opens)
        n_o = n_o + opens
        size = torch.where(opens, 1.0, size + fire)
        last = torch.where(fire, t, last)
        since = since.masked_fill(fire, 0.0)
        if t >= t_in:
            consider(t - t_in, 2 * t_in + 1)
    for step in range(max(0, steps - t_in), steps):
        consider(step, t_in + steps - step)
    end_clusters(size < float("inf"))

    # Where all voltages of a neuron are that minimum, the reference names step 0.
    k_positive = torch.where((v == v_min).all(0), 0, k_positive)
    step = torch.arange(steps).unsqueeze(1)
    return n_o, step == k_positive, step == k_negative


def first_spike_index_by_cumsum(spikes):
    return spikes.cumsum(-1).cumsum(-1) == 1


def first_spike_index_by_max(spikes):
    value, first = spikes.max(-1, keepdim=True)
    return torch.zeros(spikes.shape, dtype=torch.bool).scatter_(-1, first, value != 0)


def kernel_dot_product(x, y, kernel, **parameters):
    """The kernel of each pair of rows of x [N, M] and y [K, M]: [N, K]."""
    if kernel == "gaussian":
        distance = torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2)
        return (distance.clamp_(min=0) / (-2 * parameters["sigma"] ** 2)).exp_()
    dot = x @ y.T
    if kernel == "polynomial":
        return dot**parameters["d"]
    if kernel == "sigmoid":
        return torch.sigmoid(parameters["alpha"] * dot)
    return dot


def spike_similar_loss(spikes, labels, kernel_type, loss_type, **parameters):
    """The loss of spikes [N, ...] and labels [N, C], and its gradient with respect to spikes."""
    spikes = spikes.detach().requires_grad_()
    x = spikes.flatten(1)
    similarity = kernel_dot_product(x, x, kernel_type, **parameters)
    if kernel_type == "linear":
        norm = x.norm(dim=1)
        similarity = similarity / (torch.outer(norm, norm) + 1e-8)
        if loss_type == "bce":
            similarity = similarity.clamp(max=1)
    labels = labels.float()
    wanted = (labels @ labels.T).clamp_(max=1)
    loss = {"mse": F.mse_loss, "l1": F.l1_loss, "bce": F.binary_cross_entropy}[loss_type](similarity, wanted)
    loss.backward()
    return loss.detach(), spikes.grad


def redundant_one_hot_by_one_hot(labels, num_classes, n):
    codes = torch.zeros(len(labels), num_classes * n)
    for i in range(n):
        codes += F.one_hot(labels * n + i, num_classes * n)
    return codes


def redundant_one_hot_by_index(labels, num_classes, n):
    codes = torch.zeros(len(labels), num_classes, n)
    codes[torch.arange(len(labels)), labels] = 1
    return codes.flatten(1)


def redundant_one_hot_by_table(labels, num_classes, n):
    return torch.eye(num_classes).repeat_interleave(n, dim=1)[labels]


class Spike(torch.autograd.Function):
    """A step, with the derivative of a logistic function of slope alpha."""

    @staticmethod
    def forward(ctx, x, alpha):
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x >= 0).float()

    @staticmethod
    def backward(ctx, grad):
        s = torch.sigmoid(ctx.alpha * ctx.saved_tensors[0])
        return grad * ctx.alpha * s * (1 - s), None


def run_step_by_step(x, w1, b1, w2, b2, tau, alpha):
    """Linear-LIF-Linear-LIF, all layers at each step, as SpikingFlow's users write their loop: spikes [T, B, classes]."""
    v1, v2, out = 0, 0, []
    for step in x:
        v1 = v1 + (F.linear(step, w1, b1) - v1) / tau
        s1 = Spike.apply(v1 - 1, alpha)
        v1 = v1 * (1 - s1)
        v2 = v2 + (F.linear(s1, w2, b2) - v2) / tau
        s2 = Spike.apply(v2 - 1, alpha)
        v2 = v2 * (1 - s2)
        out.append(s2)
    return torch.stack(out)


def run_layer_by_layer(x, w1, b1, w2, b2, tau, alpha):
    """The same, all steps in each layer: products are of T * B rows."""
    def lif(currents):
        v, spikes = 0, []
        for current in currents:
            v = v + (current - v) / tau
            s = Spike.apply(v - 1, alpha)
            v = v * (1 - s)
            spikes.append(s)
        return torch.stack(spikes)
    return lif(F.linear(lif(F.linear(x, w1, b1)), w2, b2))


class TrainStep:
    """One step of Adam on the cross entropy of the spike counts, of a network that stays from call to call.

    The learning rate is 0: everything is computed, but each step finds the same network, and as many spikes.
    """

    def __init__(self, run):
        self.run = run
        self.weights = self.parameters = self.optimizer = None

    def __call__(self, x, labels, w1, b1, w2, b2, num_classes, repeat_input=None, **neuron):
        if repeat_input is not None:
            x = x.expand(repeat_input, *x.shape)
        if self.weights is not w1:
            self.weights = w1
            self.parameters = [p.clone().requires_grad_() for p in (w1, b1, w2, b2)]
            self.optimizer = torch.optim.Adam(self.parameters, lr=0)
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.run(x, *self.parameters, **neuron).sum(0), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


# Each function's formulations, the functional module's first.
FUNCTIONS = {
    "spike_cluster": {"loop over time": spike_cluster},
    "first_spike_index": {"cumsum twice": first_spike_index_by_cumsum, "max": first_spike_index_by_max},
    "kernel_dot_product": {"mm": kernel_dot_product},
    "spike_similar_loss": {"autograd": spike_similar_loss},
    "redundant_one_hot": {"one_hot n times": redundant_one_hot_by_one_hot, "index": redundant_one_hot_by_index,
                          "table": redundant_one_hot_by_table},
    "train_step": {"step by step": TrainStep(run_step_by_step), "layer by layer": TrainStep(run_layer_by_layer)},
}
OUTPUTS = {
    "spike_cluster": ("n_o", "k_positive", "k_negative"),
    "first_spike_index": ("index",),
    "kernel_dot_product": ("ret",),
    "spike_similar_loss": ("loss", "grad_spikes"),
    "redundant_one_hot": ("codes",),
    "train_step": ("loss",),
}


def steps_of(mask):
    """The step at which each column of the mask [T, N] is true, -1 where at none."""
    return torch.where(mask.any(0), mask.to(torch.uint8).argmax(0), -1)


def digest(function, results):
    """A few numbers that are the same for all who compute the same."""
    if function == "spike_cluster":
        n_o, k_positive, k_negative = results
        results = (n_o, steps_of(k_positive), steps_of(k_negative))
    elif function == "first_spike_index":
        rows = results[0].reshape(-1, results[0].shape[-1])
        results = (steps_of(rows.T),)
    weights = [torch.arange(r.numel(), dtype=torch.float64) % 97 for r in results]
    return [float((r.double().flatten().abs() * w).sum()) if r.numel() > 1 else float(r) for r, w in zip(results, weights)]


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


def check(golden):
    """Every formulation gives what the reference gave, for every case of the functions above."""
    cases = json.loads((golden / "manifest.json").read_text())["cases"]
    checked = {function: 0 for function in FUNCTIONS}
    for case in cases:
        function = case["function"]
        # A case without outputs is one that the reference refuses.
        if function not in FUNCTIONS or not case["outputs"]:
            continue
        arrays = numpy.load(golden / f"{function}.npz")
        arguments = dict(case["params"])
        for name, entry in case["inputs"].items():
            if name not in ("n_d", "grad_output"):
                arguments[name] = torch.from_numpy(arrays[entry["member"]])
        for name, formulation in FUNCTIONS[function].items():
            for output, got in zip(OUTPUTS[function], as_tuple(formulation(**arguments))):
                if output not in case["outputs"]:
                    continue
                wanted = torch.from_numpy(arrays[case["outputs"][output]["member"]]).reshape(got.shape)
                # Sums in another order differ in rounding; what has none is exact.
                exact = function in ("spike_cluster", "first_spike_index", "redundant_one_hot")
                tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 2e-5, "atol": 1e-6}
                torch.testing.assert_close(got, wanted, **tolerance,
                                           msg=lambda m: f"{function}, {name}, {case['case']}, {output}: {m}")
        checked[function] += 1
    # The reference has no training steps: their digests are compared with the library's.
    del checked["train_step"]
    assert all(checked.values()), f"no cases of some functions in {golden}: {checked}"
    print(f"{sum(checked.values())} cases agree with the reference: {checked}")


def blas_library():
    """The path of the BLAS that PyTorch has loaded."""
    paths = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
    for name in ("libopenblas", "mkl", "libblas"):
        found = sorted(p for p in paths if name in p.rsplit("/", 1)[1])
        if found:
            return found[0]
    raise RuntimeError("PyTorch has loaded no BLAS")


class Worker:
    """Measures what it is asked to; keeps the tensors of the last workload."""

    def __init__(self):
        torch.zeros(2, 2) @ torch.zeros(2, 2)  # Loads the BLAS.
        self.blas = blas_library()
        # PyTorch does not tell a BLAS that it was not built for how many threads to use.
        library = ctypes.CDLL(self.blas)
        self.set_blas_threads = getattr(library, "openblas_set_num_threads", lambda threads: None)
        self.inputs = {}

    def about(self):
        return {"pytorch": torch.__version__, "blas": self.blas,
                "formulations": {function: list(formulations) for function, formulations in FUNCTIONS.items()}}

    def tensors(self, request):
        if self.inputs.get("paths") != request["inputs"]:
            self.inputs = {"paths": request["inputs"]}
            for name, path in request["inputs"].items():
                tensor = torch.from_numpy(numpy.load(path))
                # Spikes are float32 to PyTorch's users: that is what layers give and take.
                self.inputs[name] = tensor.float() if name in ("spikes", "x", "y", "v") else tensor
        return {name: self.inputs[name] for name in request["inputs"]}

    def measure(self, request):
        threads = request["threads"]
        torch.set_num_threads(threads)
        self.set_blas_threads(threads)
        function = request["function"]
        arguments = {**self.tensors(request), **request["params"]}
        formulation = FUNCTIONS[function][request["formulation"]]
        seconds, results = [], None
        for _ in range(request["repetitions"]):
            results = None  # Its memory is there for the next.
            begin = time.perf_counter()
            results = formulation(**arguments)
            seconds.append(time.perf_counter() - begin)
        reply = {"seconds": seconds}
        if request.get("digest"):
            reply["digest"] = digest(function, as_tuple(results))
        return reply

    def serve(self):
        for line in sys.stdin:
            request = json.loads(line)
            reply = self.about() if request.get("about") else self.measure(request)
            print(json.dumps(reply), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", metavar="GOLDEN", type=pathlib.Path, help="compare with the reference's results")
    mode.add_argument("--serve", action="store_true", help="answer the requests on standard input")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
    else:
        Worker().serve()


if __name__ == "__main__":
    main()
