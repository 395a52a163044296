"""What the tests share: the generated stubs, the server, tensors, and the golden cases.

`run.py` calls `set_up` before it loads the tests, which then use the module's variables `functions`, `networks`,
`network_state`, `server`, `streams`, `training` (the protos), `call` (the RPCs) and `channel`.
"""
import contextlib
import importlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import grpc
import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = REPOSITORY / "tests" / "golden"


def generate_stubs(folder):
    """Generates the Python modules of the protos into the folder and makes them importable."""
    protos = REPOSITORY / "proto"
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path.relative_to(protos)) for path in protos.glob("spikeserve/v1/*.proto"))
    subprocess.run(
        ["protoc", f"--proto_path={protos}", f"--python_out={folder}", f"--grpc_out={folder}",
         f"--plugin=protoc-gen-grpc={shutil.which('grpc_python_plugin')}", *sources],
        check=True)
    sys.path.insert(0, str(folder))


@contextlib.contextmanager
def running_server(binary, *flags):
    """Starts the server, on a free port unless the flags say otherwise, and yields its address; then ends it as an
    orchestrator would."""
    server = subprocess.Popen([binary, *(flags or ["--listen=127.0.0.1:0"])], stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        announced = "spikeserve listening on "
        if not line.startswith(announced):
            raise RuntimeError(f"the server said {line!r}, not where it listens")
        yield line[len(announced):].strip()
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
        if code != 0:
            raise RuntimeError(f"the server exited with {code} after SIGTERM")
    finally:
        server.kill()
        server.wait()


class Calls:
    """The services' RPCs as methods; remembers which were called. A stream takes a list of messages, and gives one."""

    def __init__(self, *stubs):
        self._stubs = stubs
        self.called = set()

    def __getattr__(self, rpc):
        for stub in self._stubs:
            if hasattr(stub, rpc):
                self.called.add(rpc)
                method = getattr(stub, rpc)
                if isinstance(method, grpc.StreamStreamMultiCallable):
                    return lambda requests: list(method(iter(requests), timeout=60))
                return lambda request: method(request, timeout=60)
        raise AttributeError(rpc)

    def open(self, rpc, requests):
        """A stream whose requests are made while its responses come: takes an iterator, and gives one."""
        self.called.add(rpc)
        method, = (getattr(stub, rpc) for stub in self._stubs if hasattr(stub, rpc))
        return method(requests, timeout=60)


def calls_on(on):
    """The RPCs on a channel."""
    return Calls(
        importlib.import_module("spikeserve.v1.functions_pb2_grpc").SpikeFunctionServiceStub(on),
        importlib.import_module("spikeserve.v1.networks_pb2_grpc").SpikeNetworkServiceStub(on),
        importlib.import_module("spikeserve.v1.server_pb2_grpc").SpikeServerServiceStub(on),
        importlib.import_module("spikeserve.v1.streams_pb2_grpc").SpikeStreamServiceStub(on),
        importlib.import_module("spikeserve.v1.training_pb2_grpc").SpikeTrainingServiceStub(on))


def set_up(address, stub_folder, server_binary=None):
    global functions, networks, network_state, rich_error, server, shared_memory, streams, tensor_pb, training
    global channel, call, binary
    binary = server_binary
    generate_stubs(pathlib.Path(stub_folder))
    functions = importlib.import_module("spikeserve.v1.functions_pb2")
    networks = importlib.import_module("spikeserve.v1.networks_pb2")
    network_state = importlib.import_module("spikeserve.v1.network_state_pb2")
    rich_error = importlib.import_module("spikeserve.v1.rich_error_pb2")
    server = importlib.import_module("spikeserve.v1.server_pb2")
    streams = importlib.import_module("spikeserve.v1.streams_pb2")
    tensor_pb = importlib.import_module("spikeserve.v1.tensor_pb2")
    training = importlib.import_module("spikeserve.v1.training_pb2")
    shared_memory = importlib.import_module("spikeserve.v1.shared_memory_pb2")
    channel = grpc.insecure_channel(address)
    call = calls_on(channel)


def rpcs():
    """The names of all RPCs of all services."""
    protos = (functions, networks, server, streams, training)
    services = [service for proto in protos for service in proto.DESCRIPTOR.services_by_name.values()]
    return {method.name for service in services for method in service.methods}


DTYPES = {
    "bool": "DATA_TYPE_BOOL", "uint8": "DATA_TYPE_UINT8", "int32": "DATA_TYPE_INT32", "int64": "DATA_TYPE_INT64",
    "float32": "DATA_TYPE_FLOAT32", "float64": "DATA_TYPE_FLOAT64",
}


def data_type(name):
    return tensor_pb.DataType.Value(name)


def tensor(array):
    """An array as a tensor of its own dtype, in the form `data`."""
    array = np.asarray(array)
    little_endian = array.astype(array.dtype.newbyteorder("<"))
    return tensor_pb.Tensor(dtype=data_type(DTYPES[array.dtype.name]), shape=array.shape, data=little_endian.tobytes())


def bit_tensor(mask):
    packed = np.packbits(np.asarray(mask) != 0, axis=-1, bitorder="little")
    return tensor_pb.Tensor(dtype=data_type("DATA_TYPE_BIT"), shape=mask.shape, data=packed.tobytes())


def values_tensor(array, dtype):
    return tensor_pb.Tensor(dtype=data_type(DTYPES[dtype]), shape=array.shape, values=array.ravel().tolist())


def event_tensor(mask, dtype):
    events = np.flatnonzero(mask)
    return tensor_pb.Tensor(dtype=data_type(dtype), shape=mask.shape, event_deltas=np.diff(events, prepend=0).tolist())


def array(message):
    """The array of a tensor of a response (which holds `data`)."""
    shape = tuple(message.shape)
    if message.dtype == data_type("DATA_TYPE_BIT"):
        rows = np.frombuffer(message.data, np.uint8).reshape(*shape[:-1], -(-shape[-1] // 8))
        return np.unpackbits(rows, axis=-1, count=shape[-1], bitorder="little").astype(bool)
    names = {data_type(wire): name for name, wire in DTYPES.items()}
    return np.frombuffer(message.data, np.dtype(names[message.dtype]).newbyteorder("<")).reshape(shape)


class Case:
    """A golden case: its name, parameters, and the arrays of its inputs and outputs."""

    def __init__(self, entry, members):
        self.name = entry["case"]
        self.params = entry["params"]
        self.inputs, self.outputs = (
            # The manifest tells scalars from arrays of one element, the members do not.
            {name: members[value["member"]].reshape(value["shape"]) for name, value in entry[side].items()}
            for side in ("inputs", "outputs"))


def golden(function):
    entries = json.loads((GOLDEN / "manifest.json").read_text())["cases"]
    with np.load(GOLDEN / f"{function}.npz") as members:
        return [Case(entry, members) for entry in entries if entry["function"] == function]


def kernel(name, params):
    """The proto Kernel of a golden case."""
    result = functions.Kernel()
    getattr(result, name).SetInParent()
    for parameter in ("d", "alpha", "sigma"):
        if parameter in params:
            setattr(getattr(result, name), parameter, params[parameter])
    return result


def kernel_in_float64(name, params, x, y):
    """The kernel's definition, for the error of the results that are rounded to float32."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    if name == "gaussian":
        distances = ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)
        return np.exp(-distances / (2 * params["sigma"] ** 2))
    product = x @ y.T
    if name == "polynomial":
        return product ** params["d"]
    if name == "sigmoid":
        return 1 / (1 + np.exp(-params["alpha"] * product))
    return product


def kernel_vjp_in_float64(name, params, x, y, grad_output):
    """The gradients of x and y that the kernel's definition has, for the same."""
    x, y, weights = (array.astype(np.float64) for array in (x, y, grad_output))
    values = kernel_in_float64(name, params, x, y)
    if name == "gaussian":
        weights = weights * values / params["sigma"] ** 2
        # Differences come first: the weight of a row with itself would hide those of the others.
        pulls = weights[:, :, None] * (y[None, :, :] - x[:, None, :])
        return pulls.sum(1), -pulls.sum(0)
    if name == "polynomial":
        weights = weights * params["d"] * (x @ y.T) ** (params["d"] - 1)
    if name == "sigmoid":
        weights = weights * params["alpha"] * values * (1 - values)
    return weights @ y, weights.T @ x


def assert_as_accurate(got, reference, exact):
    """The error of `got` is at most twice the reference's own, or 1e-6 relative."""
    assert got.shape == exact.shape, f"shape {got.shape}, not {exact.shape}"
    if exact.size == 0:
        return
    bound = max(2 * np.abs(reference - exact).max(), 1e-6 * np.abs(exact).max())
    error = np.abs(got - exact).max()
    assert error <= bound, f"error {error} is more than {bound}"


def assert_refused(refused, field):
    """The call fails with INVALID_ARGUMENT, and its message and its rich error name the field."""
    try:
        refused()
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, f"{error.code()}: {error.details()}"
        assert field in error.details(), f"'{error.details()}' does not name {field}"
        trailer = dict(error.trailing_metadata()).get("grpc-status-details-bin")
        assert trailer, f"no details came with '{error.details()}'"
        status = rich_error.RichStatus.FromString(trailer)
        assert (status.code, status.message) == (error.code().value[0], error.details()), status
        assert status.details[0].type_url == "type.googleapis.com/google.rpc.BadRequest", status
        violations = rich_error.BadRequest.FromString(status.details[0].value).field_violations
        assert field in violations[0].field and violations[0].description, violations
    else:
        raise AssertionError(f"the call succeeded, but its {field} is wrong")
