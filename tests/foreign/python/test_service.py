"""Errors, health and reflection."""
import unittest

import grpc
import harness
import numpy as np
from harness import call, functions, networks, tensor, tensor_pb


def spike_cluster(**changes):
    fields = {"v": tensor(np.zeros((4, 3), np.float32)), "v_threshold": tensor(np.float32(1)), "t_in": 1, **changes}
    return lambda: call.SpikeCluster(functions.SpikeClusterRequest(**fields))


def tensor_of(shape, **fields):
    return tensor_pb.Tensor(dtype="DATA_TYPE_FLOAT32", shape=shape, **fields)


class Service(unittest.TestCase):

    def test_bad_input_is_refused_by_the_name_of_its_field(self):
        x = tensor(np.ones((2, 3), np.float32))
        bad = [
            ("v", spike_cluster(v=None)),
            ("v", spike_cluster(v=tensor(np.zeros((4, 3), np.int32)))),
            ("v", spike_cluster(v=tensor_of((4, 3), data=b"1234567"))),
            ("v", spike_cluster(v=tensor_of((1, 1), data=b"1234", values=[1]))),
            ("v", spike_cluster(v=tensor_of((-4, 3)))),
            ("v", spike_cluster(v=tensor_of((2**62, 2**62), values=[1]))),
            ("v", spike_cluster(v=tensor(np.full((4, 3), np.nan, np.float32)))),
            ("v_threshold", spike_cluster(v_threshold=tensor(np.zeros(2, np.float32)))),
            ("t_in", spike_cluster(t_in=-1)),
            ("y", lambda: call.KernelDotProduct(functions.KernelDotProductRequest(
                x=x, y=tensor(np.ones((2, 4), np.float32)), kernel=harness.kernel("linear", {})))),
            ("kernel", lambda: call.KernelDotProduct(functions.KernelDotProductRequest(x=x))),
            ("sigma", lambda: call.KernelDotProduct(functions.KernelDotProductRequest(
                x=x, kernel=harness.kernel("gaussian", {"sigma": 0.0})))),
            ("labels", lambda: call.RedundantOneHot(functions.RedundantOneHotRequest(
                labels=tensor(np.array([0, 3], np.int32)), num_classes=3, n=1))),
            ("spikes", lambda: call.FirstSpikeIndex(functions.FirstSpikeIndexRequest(
                spikes=tensor(np.array([0, 2], np.float32))))),
            ("spikes", lambda: call.FirstSpikeIndex(functions.FirstSpikeIndexRequest(
                spikes=tensor_pb.Tensor(dtype="DATA_TYPE_BOOL", shape=[2, 3], event_deltas=[6])))),
            ("layers", lambda: call.CreateNetwork(networks.CreateNetworkRequest())),
        ]
        for field, refused in bad:
            with self.subTest(field):
                harness.assert_refused(refused, field)

    def test_a_request_cut_off_in_the_middle_is_refused_and_the_server_goes_on(self):
        request = functions.FirstSpikeIndexRequest(spikes=tensor(np.zeros((3, 3), np.float32)))
        method = harness.channel.unary_unary("/spikeserve.v1.SpikeFunctionService/FirstSpikeIndex")
        with self.assertRaises(grpc.RpcError) as raised:
            method(request.SerializeToString()[:-5], timeout=30)
        self.assertIn(raised.exception.code(), (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT))
        call.FirstSpikeIndex(request)

    def test_statistics_count_the_calls(self):
        before = call.ServerStatistics(harness.server.ServerStatisticsRequest())
        after = call.ServerStatistics(harness.server.ServerStatisticsRequest())
        self.assertRegex(after.version, r"^\d+\.\d+\.\d+$")
        self.assertGreater(after.calls_accepted, before.calls_accepted)
        self.assertGreaterEqual(after.calls_in_progress, 1)
        self.assertGreater(after.uptime_seconds, before.uptime_seconds)

    def test_health_says_serving(self):
        check = harness.channel.unary_unary("/grpc.health.v1.Health/Check")
        serving = b"\x08\x01"  # HealthCheckResponse { status: SERVING }
        self.assertEqual(check(b"", timeout=30), serving)

    def test_reflection_lists_the_services(self):
        info = harness.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        list_services = b"\x3a\x00"  # ServerReflectionRequest { list_services: "" }
        response = next(iter(info(iter([list_services]), timeout=30)))
        for service in (b"SpikeFunctionService", b"SpikeNetworkService", b"SpikeServerService", b"SpikeStreamService",
                        b"SpikeTrainingService"):
            self.assertIn(b"spikeserve.v1." + service, response)
