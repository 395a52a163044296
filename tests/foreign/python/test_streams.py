"""SpikeStreamService: what comes in pieces gives the golden results as well."""
import unittest

import grpc
import numpy as np
from harness import array, assert_as_accurate, call, functions, golden, kernel, kernel_in_float64, streams, tensor


def pieces(whole, axis=0):
    """A few pieces along the axis, of different sizes, one of them empty."""
    length = whole.shape[axis]
    cuts = sorted({0, length // 3, length // 2, length})
    parts = np.split(whole, [*cuts[1:-1], length], axis=axis)
    return [np.ascontiguousarray(part) for part in parts]


def messages(request_type, opening, **field_pieces):
    """The requests of a stream: the fields' pieces one after the other, `open` in the first."""
    requests = [request_type(**{field: tensor(piece)}) for field, parts in field_pieces.items() for piece in parts]
    requests[0].open.CopyFrom(opening)
    return requests


class SpikeStreams(unittest.TestCase):

    def test_spike_cluster_of_pieces_of_time_is_exact(self):
        for case in golden("spike_cluster"):
            with self.subTest(case.name):
                threshold = case.inputs["v_threshold"] if "v_threshold" in case.inputs else (
                    np.float32(case.params["v_threshold"]))
                opening = functions.SpikeClusterRequest(v_threshold=tensor(threshold), t_in=case.params["t_in"])
                response, = call.StreamSpikeCluster(messages(
                    streams.StreamSpikeClusterRequest, opening, v=pieces(case.inputs["v"])))
                np.testing.assert_array_equal(array(response.n_o), case.outputs["n_o"])
                for mask in ("k_positive", "k_negative"):
                    expected = case.outputs[mask]
                    steps = np.where(expected.any(0), expected.argmax(0), -1)
                    np.testing.assert_array_equal(array(getattr(response, mask)), steps)

    def test_first_spike_index_of_pieces_is_exact(self):
        for case in golden("first_spike_index"):
            spikes = case.inputs["spikes"]
            if spikes.ndim < 2:
                continue
            with self.subTest(case.name):
                responses = call.StreamFirstSpikeIndex(messages(
                    streams.StreamFirstSpikeIndexRequest, functions.FirstSpikeIndexRequest(), spikes=pieces(spikes)))
                index = np.concatenate([array(response.index) for response in responses])
                np.testing.assert_array_equal(index, case.outputs["index"])

    def test_kernel_dot_product_of_pieces(self):
        for case in golden("kernel_dot_product"):
            with self.subTest(case.name):
                name, x, y = case.params["kernel"], case.inputs["x"], case.inputs["y"]
                opening = functions.KernelDotProductRequest(kernel=kernel(name, case.params))
                responses = call.StreamKernelDotProduct(messages(
                    streams.StreamKernelDotProductRequest, opening, y=pieces(y), x=pieces(x)))
                ret = np.concatenate([array(response.ret) for response in responses])
                assert_as_accurate(ret, case.outputs["ret"], kernel_in_float64(name, case.params, x, y))
                # Without x: the products of y with itself.
                responses = call.StreamKernelDotProduct(messages(
                    streams.StreamKernelDotProductRequest, opening, y=pieces(y)))
                exact = kernel_in_float64(name, case.params, y, y)
                if exact.size:
                    ret = np.concatenate([array(response.ret) for response in responses])
                    assert_as_accurate(ret, exact.astype(np.float32), exact)

    def test_spike_similar_loss_of_pieces_of_features_and_its_gradient(self):
        for case in golden("spike_similar_loss"):
            if "grad_spikes" not in case.outputs:
                continue
            with self.subTest(case.name):
                spikes = case.inputs["spikes"]
                opening = functions.SpikeSimilarLossRequest(
                    labels=tensor(case.inputs["labels"]), kernel=kernel(case.params["kernel_type"], case.params),
                    loss_type=f"LOSS_TYPE_{case.params['loss_type'].upper()}", compute_gradient=True)
                parts = pieces(spikes.reshape(len(spikes), -1), axis=1)
                requests = messages(streams.StreamSpikeSimilarLossRequest, opening, spikes=parts)
                requests += [streams.StreamSpikeSimilarLossRequest(spikes=tensor(part), again=True) for part in parts]
                first, *rest = call.StreamSpikeSimilarLoss(requests)
                np.testing.assert_allclose(first.loss, case.outputs["loss"], rtol=1e-5, atol=1e-6)
                gradient = np.concatenate([array(response.grad_spikes) for response in rest], axis=1)
                rows = case.inputs["labels"].any(1) | (case.params["loss_type"] != "bce")
                expected = case.outputs["grad_spikes"].reshape(gradient.shape)
                np.testing.assert_allclose(gradient[rows], expected[rows], rtol=1e-5, atol=1e-6)

    def test_a_stream_without_open_is_refused(self):
        for method, request in ((call.StreamSpikeCluster, streams.StreamSpikeClusterRequest()),
                                (call.StreamFirstSpikeIndex, streams.StreamFirstSpikeIndexRequest()),
                                (call.StreamKernelDotProduct, streams.StreamKernelDotProductRequest()),
                                (call.StreamSpikeSimilarLoss, streams.StreamSpikeSimilarLossRequest())):
            with self.assertRaises(grpc.RpcError) as raised:
                method([request])
            self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn("open: absent", raised.exception.details())
