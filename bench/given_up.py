#!/usr/bin/python3
"""How soon a server notices that a call is no longer wanted: given_up.py SPIKESERVE [--seconds S]

Calls of awkward shapes, each with far more to do than the server's --max-compute-time allows, which ends a call as its
deadline, its caller or the server's end do. The server's log tells how long each computed; what is beyond the limit is
how late it was noticed. Needs protoc, grpc_python_plugin, grpcio and numpy, as the tests do.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import grpc
import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
PROMISED_MS = 50


def stubs(folder):
    """The generated modules, by name."""
    plugin = subprocess.run(["which", "grpc_python_plugin"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    protos = sorted(str(path.relative_to(REPOSITORY / "proto")) for path in REPOSITORY.glob("proto/spikeserve/v1/*.proto"))
    subprocess.run(["protoc", f"-I{REPOSITORY}/proto", f"--python_out={folder}", f"--grpc_out={folder}",
                    f"--plugin=protoc-gen-grpc={plugin}", *protos], check=True)
    sys.path.insert(0, folder)
    from spikeserve.v1 import functions_pb2, functions_pb2_grpc, networks_pb2, networks_pb2_grpc, tensor_pb2
    return functions_pb2, functions_pb2_grpc, networks_pb2, networks_pb2_grpc, tensor_pb2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spikeserve")
    parser.add_argument("--seconds", type=float, default=0.3, help="that a call may compute")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        functions, functions_grpc, networks, networks_grpc, tensors = stubs(folder)
        run(args, folder, functions, functions_grpc, networks, networks_grpc, tensors)


def run(args, folder, functions, functions_grpc, networks, networks_grpc, tensors):
    random = np.random.default_rng(1)

    def tensor(array):
        dtype = getattr(tensors, f"DATA_TYPE_{array.dtype.name.upper()}")
        return tensors.Tensor(dtype=dtype, shape=array.shape, data=array.tobytes())

    def silent(*shape):
        """Bits of which only the shape is sent."""
        return tensors.Tensor(dtype=tensors.DATA_TYPE_BIT, shape=shape)

    def floats(*shape):
        return random.random(shape, dtype=np.float32)

    def counts(*shape):
        return random.integers(0, 3, shape, dtype=np.uint8)

    def bits(*shape):
        data = random.integers(0, 256, [*shape[:-1], shape[-1] // 8], dtype=np.uint8)
        return tensors.Tensor(dtype=tensors.DATA_TYPE_BIT, shape=shape, data=data.tobytes())

    linear = functions.Kernel(linear={})
    gaussian = functions.Kernel(gaussian={"sigma": 1.0})
    near = np.repeat(floats(1, 1_000_000), 48, axis=0)
    near += 1e-4 * floats(48, 1)

    def loss(spikes, classes, samples):
        return functions.SpikeSimilarLossRequest(spikes=spikes, labels=silent(samples, classes), kernel=gaussian, loss_type=1)

    calls = {
        "16 rows of 12 million counts, linear kernel": ("KernelDotProduct", functions.KernelDotProductRequest(
            x=tensor(counts(16, 12_000_000)), kernel=linear)),
        "48 rows of 1.3 million floats, linear kernel": ("KernelDotProduct", functions.KernelDotProductRequest(
            x=tensor(floats(48, 1_300_000)), kernel=linear)),
        "48 rows that nearly coincide, gaussian kernel": ("KernelDotProduct", functions.KernelDotProductRequest(
            x=tensor(near), kernel=gaussian)),
        "60 million rows of one float, gaussian kernel": ("KernelDotProduct", functions.KernelDotProductRequest(
            x=tensor(floats(60_000_000, 1)), y=tensor(floats(1, 1)), kernel=gaussian)),
        "48 rows of 40 million bits, linear kernel": ("KernelDotProduct", functions.KernelDotProductRequest(
            x=bits(48, 40_000_000), kernel=linear)),
        "60 million steps of one neuron, clusters": ("SpikeCluster", functions.SpikeClusterRequest(
            v=tensor(floats(60_000_000, 1)), v_threshold=tensor(np.float32([0.5])), t_in=2)),
        "2000 samples of 30000 floats, similarity loss": ("SpikeSimilarLoss", loss(tensor(floats(2000, 30_000)), 10, 2000)),
        "2000 samples of a million bits, similarity loss": ("SpikeSimilarLoss", loss(bits(2000, 1_000_000), 10, 2000)),
        "1000 samples of 400000 classes, similarity loss": ("SpikeSimilarLoss", loss(tensor(counts(1000, 3)), 400_000, 1000)),
        "130 million labels, threshold margin": ("ThresholdMargin", functions.ThresholdMarginRequest(
            label_one_hot=silent(1, 130_000_000), training=True)),
        "120 million labels, codes": ("RedundantOneHot", functions.RedundantOneHotRequest(
            labels=tensor(counts(120_000_000)), num_classes=3, n=1)),
        "1 billion steps that are sent as a shape, first spike": ("FirstSpikeIndex", functions.FirstSpikeIndexRequest(
            spikes=silent(1, 1_000_000_000), index_output=True)),
    }
    layers = {
        "a plane of 67 million, mean pool of 4096 x 4096": (
            {"avg_pool2d": {"kernel": [4096], "stride": [1]}}, silent(1, 1, 1, 8192, 8192)),
        "the same, maximum": ({"max_pool2d": {"kernel": [4096], "stride": [1]}}, silent(1, 1, 1, 8192, 8192)),
        "65536 samples through 2048 x 2048 weights": (
            {"linear": {"weight": tensor(floats(2048, 2048))}}, tensor(counts(1, 65536, 2048))),
        "a convolution of 64 by 64 planes": (
            {"conv2d": {"weight": tensor(floats(64, 64, 5, 5))}}, tensor(counts(1, 8, 64, 256, 256))),
        "160 million neurons": ({"lif_node": {}}, silent(1, 1, 160_000_000)),
    }

    log = pathlib.Path(folder, "log")
    with log.open("w") as stderr:
        server = subprocess.Popen([args.spikeserve, "--listen=127.0.0.1:0", "--log-level=debug", "--log-format=json", "--max-message-bytes=2147483647",
                                   f"--max-compute-time={args.seconds}"], stdout=subprocess.PIPE, stderr=stderr, text=True)
    late = {}
    try:
        address = server.stdout.readline().split()[-1]
        limits = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(address, options=limits) as channel:
            function_stub, network_stub = functions_grpc.SpikeFunctionServiceStub(channel), networks_grpc.SpikeNetworkServiceStub(channel)

            def lateness(method, call):
                """In ms; None where it ended in time."""
                seen = log.read_text().count("\n")
                try:
                    call()
                    return None
                except grpc.RpcError as error:
                    if "--max-compute-time" not in error.details():
                        raise
                took = []
                while not took:  # The log is written a little later.
                    lines = [json.loads(line) for line in log.read_text().split("\n")[seen:-1]]
                    took = [line["compute_ms"] for line in lines if line.get("method") == method]
                return took[-1] - 1000 * args.seconds

            for name, (method, request) in calls.items():
                late[name] = lateness(method, lambda: getattr(function_stub, method)(request))
            for name, (layer, input_tensor) in layers.items():
                made = network_stub.CreateNetwork(networks.CreateNetworkRequest(layers=[layer]))
                late[name] = lateness("Forward", lambda: network_stub.Forward(
                    networks.ForwardRequest(network=made.network, input=input_tensor)))
    finally:
        server.terminate()
        server.wait()

    print("| call | noticed after, ms |")
    print("|---|---:|")
    for name, value in late.items():
        print(f"| {name} | {'ended in time' if value is None else f'{value:.1f}'} |")
    if any(value is not None and value > PROMISED_MS for value in late.values()):
        sys.exit(f"given_up.py: not as promised: within {PROMISED_MS} ms")


if __name__ == "__main__":
    main()
