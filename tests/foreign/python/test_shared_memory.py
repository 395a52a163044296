"""Operands and results in shared memory, from a language whose standard library has all that it takes."""
import fcntl
import mmap
import os
import socket
import tempfile
import unittest

import grpc
import harness
import numpy as np
from harness import functions, shared_memory, tensor, tensor_pb


class SharedArray:
    """Memory that can be handed over, as an array."""

    def __init__(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.descriptor = os.memfd_create("spikeserve-python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.array = np.frombuffer(mmap.mmap(self.descriptor, size), dtype).reshape(shape)

    def piece(self, handle):
        return tensor_pb.SharedMemory(handle=handle, size=self.array.nbytes)


class Handover:

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path + ".shm")

    def share(self, memory):
        request = shared_memory.SharedMemoryRequest(share=shared_memory.ShareMemory())
        socket.send_fds(self.socket, [request.SerializeToString()], [memory.descriptor])
        response = shared_memory.SharedMemoryResponse.FromString(self.socket.recv(4096))
        assert response.code == 0, response.message
        return response.handle

    def drop(self, handle):
        request = shared_memory.SharedMemoryRequest(drop=shared_memory.DropMemory(handle=handle))
        self.socket.send(request.SerializeToString())


class SharedMemory(unittest.TestCase):

    def setUp(self):
        if not harness.binary:
            self.skipTest("needs a server of its own")
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(folder, "socket")
        address = self.enterContext(
            harness.running_server(harness.binary, f"--listen=unix:{path}", "--shared-memory"))
        channel = self.enterContext(grpc.insecure_channel(address))
        self.spike_cluster = channel.unary_unary(
            "/spikeserve.v1.SpikeFunctionService/SpikeCluster",
            functions.SpikeClusterRequest.SerializeToString, functions.SpikeClusterResponse.FromString)
        self.handover = Handover(path)
        self.addCleanup(self.handover.socket.close)

    def request(self, v, handle):
        shared = tensor_pb.Tensor(dtype="DATA_TYPE_FLOAT32", shape=v.array.shape, shared=v.piece(handle))
        return functions.SpikeClusterRequest(v=shared, v_threshold=tensor(np.float32(1)), t_in=1)

    def test_an_operand_is_read_where_it_is(self):
        v = SharedArray((4, 3), np.float32)
        handle = self.handover.share(v)
        for column in range(3):
            v.array[:] = 0
            v.array[1:3, column] = 2
            n_o = harness.array(self.spike_cluster(self.request(v, handle)).n_o)
            np.testing.assert_array_equal(n_o, np.arange(3) == column)

    def test_results_are_written_where_they_are_wanted(self):
        v = SharedArray((8, 3), np.float32)
        v.array[:] = np.random.default_rng(1).normal(size=(8, 3))
        request = self.request(v, self.handover.share(v))
        sent = self.spike_cluster(request)
        masks = [SharedArray((8, 3), bool) for _ in range(2)]
        handles = [self.handover.share(mask) for mask in masks]
        offer = shared_memory.ResultMemory(pieces=[mask.piece(handle) for mask, handle in zip(masks, handles)])
        placed, call = self.spike_cluster.with_call(
            request, timeout=60, metadata=[("spikeserve-result-memory-bin", offer.SerializeToString())])
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        for field in ("k_positive", "k_negative"):
            result = getattr(placed, field)
            self.assertEqual(result.data, b"")
            mask = masks[handles.index(result.shared.handle)]
            np.testing.assert_array_equal(mask.array, harness.array(getattr(sent, field)))
        self.assertNotEqual(placed.k_positive.shared.handle, placed.k_negative.shared.handle)
        self.assertEqual(placed.n_o, sent.n_o)  # It found no room.

    def test_memory_that_was_dropped_is_not_found(self):
        v = SharedArray((4, 3), np.float32)
        handle = self.handover.share(v)
        self.handover.drop(handle)
        self.handover.share(v)
        with self.assertRaises(grpc.RpcError) as raised:
            self.spike_cluster(self.request(v, handle))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertIn("v.shared.handle", raised.exception.details())
