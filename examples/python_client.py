"""Counts the spike clusters of two neurons: python_client.py HOST:PORT

The stubs are made from the protos:
    protoc -I proto --python_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(which grpc_python_plugin) \
        proto/spikeserve/v1/tensor.proto proto/spikeserve/v1/functions.proto
"""
import sys

import grpc
import numpy as np
from spikeserve.v1 import functions_pb2, functions_pb2_grpc, tensor_pb2


def tensor(array):
    """A float32 array as a message."""
    return tensor_pb2.Tensor(dtype=tensor_pb2.DATA_TYPE_FLOAT32, shape=array.shape, data=array.tobytes())


stub = functions_pb2_grpc.SpikeFunctionServiceStub(grpc.insecure_channel(sys.argv[1]))
# A row for each step, a column for each neuron.
v = np.float32([[1.2, 1.5], [1.1, 0.3], [0.2, 1.0], [0.4, 0.1], [0.6, 1.3], [1.0, 0.2]])
request = functions_pb2.SpikeClusterRequest(v=tensor(v), v_threshold=tensor(np.float32([1.0])), t_in=2)
response = stub.SpikeCluster(request)
print(np.frombuffer(response.n_o.data, np.float32))  # [2. 1.]
print(np.frombuffer(response.k_negative.data, bool).reshape(v.shape))
