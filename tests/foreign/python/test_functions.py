"""SpikeFunctionService against the golden cases."""
import unittest

import harness
import numpy as np
from harness import array, assert_as_accurate, call, data_type, functions, golden, kernel, tensor


class SpikeFunctions(unittest.TestCase):

    def test_spike_cluster_is_exact(self):
        for case in golden("spike_cluster"):
            with self.subTest(case.name):
                request = functions.SpikeClusterRequest(
                    v=tensor(case.inputs["v"]), v_threshold=self.threshold(case), t_in=case.params["t_in"])
                response = call.SpikeCluster(request)
                np.testing.assert_array_equal(array(response.n_o), case.outputs["n_o"])
                for mask in ("k_positive", "k_negative"):
                    np.testing.assert_array_equal(array(getattr(response, mask)), case.outputs[mask])

                request.mask_dtype = data_type("DATA_TYPE_BIT")
                response = call.SpikeCluster(request)
                self.assertEqual(response.k_positive.dtype, data_type("DATA_TYPE_BIT"))
                for mask in ("k_positive", "k_negative"):
                    np.testing.assert_array_equal(array(getattr(response, mask)), case.outputs[mask])

                request.index_output = True
                response = call.SpikeCluster(request)
                for mask in ("k_positive", "k_negative"):
                    expected = case.outputs[mask]
                    steps = np.where(expected.any(0), expected.argmax(0), -1)
                    np.testing.assert_array_equal(array(getattr(response, mask)), steps)

    def test_a_block_of_neurons_with_the_minimum_of_all_is_a_part_of_the_whole(self):
        case = next(case for case in golden("spike_cluster") if case.name == "quantised_ties")
        response = call.SpikeCluster(functions.SpikeClusterRequest(
            v=tensor(case.inputs["v"][:, :5]), v_threshold=self.threshold(case), t_in=case.params["t_in"],
            v_min=float(case.inputs["v"].min())))
        np.testing.assert_array_equal(array(response.k_positive), case.outputs["k_positive"][:, :5])

    def test_the_definition_counts_a_spike_at_step_0_with_t_in_0(self):
        case = next(case for case in golden("spike_cluster") if case.name == "t_in_0_spike_at_0")
        request = functions.SpikeClusterRequest(
            v=tensor(case.inputs["v"]), v_threshold=self.threshold(case), t_in=0,
            rule=functions.CLUSTER_RULE_DEFINITION)
        # With t_in = 0 each spike is a cluster of its own.
        spikes = case.inputs["v"] >= case.params["v_threshold"]
        np.testing.assert_array_equal(array(call.SpikeCluster(request).n_o), spikes.sum(0))

    def test_stca_loss_and_its_gradient(self):
        for case in golden("spike_cluster"):
            with self.subTest(case.name):
                response = call.StcaLoss(functions.StcaLossRequest(
                    v=tensor(case.inputs["v"]), v_threshold=self.threshold(case), t_in=case.params["t_in"],
                    n_d=tensor(case.inputs["n_d"]), compute_gradient=True))
                np.testing.assert_array_equal(array(response.n_o), case.outputs["n_o"])
                np.testing.assert_array_equal(array(response.grad_v), case.outputs["stca_grad_at_step"])
                np.testing.assert_allclose(response.loss, case.outputs["stca_loss_at_step"], rtol=1e-5, atol=1e-6)

    def test_kernel_dot_product(self):
        for case in golden("kernel_dot_product"):
            with self.subTest(case.name):
                name, x, y = case.params["kernel"], case.inputs["x"], case.inputs["y"]
                ret = array(call.KernelDotProduct(functions.KernelDotProductRequest(
                    x=tensor(x), y=tensor(y), kernel=kernel(name, case.params))).ret)
                if name == "linear" and np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all():
                    np.testing.assert_array_equal(ret, case.outputs["ret"])
                assert_as_accurate(ret, case.outputs["ret"], harness.kernel_in_float64(name, case.params, x, y))
                self_products = array(call.KernelDotProduct(functions.KernelDotProductRequest(
                    x=tensor(x), kernel=kernel(name, case.params))).ret)
                exact = harness.kernel_in_float64(name, case.params, x, x)
                assert_as_accurate(self_products, exact.astype(np.float32), exact)

    def test_kernel_dot_product_vjp(self):
        cases = [case for case in golden("kernel_dot_product") if "grad_x" in case.outputs]
        self.assertEqual(len(cases), 28)
        for case in cases:
            with self.subTest(case.name):
                name, x, y = case.params["kernel"], case.inputs["x"], case.inputs["y"]
                grad_output = case.inputs["grad_output"]
                request = functions.KernelDotProductVjpRequest(
                    x=tensor(x), y=tensor(y), kernel=kernel(name, case.params), grad_output=tensor(grad_output))
                response = call.KernelDotProductVjp(request)
                exact_x, exact_y = harness.kernel_vjp_in_float64(name, case.params, x, y, grad_output)
                assert_as_accurate(array(response.grad_x), case.outputs["grad_x"], exact_x)
                assert_as_accurate(array(response.grad_y), case.outputs["grad_y"], exact_y)
                request.ClearField("y")
                response = call.KernelDotProductVjp(request)
                self.assertFalse(response.HasField("grad_y"))
                exact = sum(harness.kernel_vjp_in_float64(name, case.params, x, x, grad_output))
                assert_as_accurate(array(response.grad_x), exact.astype(np.float32), exact)

    def test_spike_similar_loss_and_its_gradient(self):
        for case in golden("spike_similar_loss"):
            with self.subTest(case.name):
                request = self.similar_loss_request(case)
                if case.params["kernel_type"] == "polynomial" and not case.outputs:
                    harness.assert_refused(lambda: call.SpikeSimilarLoss(request), "loss_type")
                    continue
                response = call.SpikeSimilarLoss(request)
                # The exact value: an empty list of outputs is a case that only the reference's own rounding refuses.
                exact = self.similar_loss_in_float64(case)
                reference = case.outputs.get("loss", np.float32(exact))
                assert_as_accurate(np.float64(response.loss), np.float64(reference), np.float64(exact))
                gradient = array(response.grad_spikes)
                self.assertEqual(gradient.shape, case.inputs["spikes"].shape)
                self.assertTrue(np.isfinite(gradient).all())
                if "grad_spikes" in case.outputs:
                    # A sample without a label has an infinite slope at its similarity of 1 to itself in the cross entropy;
                    # the reference's gradient loses its other terms there.
                    rows = case.inputs["labels"].any(1) | (case.params["loss_type"] != "bce")
                    np.testing.assert_allclose(
                        gradient[rows], case.outputs["grad_spikes"][rows], rtol=1e-5, atol=1e-6)
                request.compute_gradient = False
                self.assertFalse(call.SpikeSimilarLoss(request).HasField("grad_spikes"))

    def test_redundant_one_hot_is_exact(self):
        for case in golden("redundant_one_hot"):
            with self.subTest(case.name):
                request = functions.RedundantOneHotRequest(
                    labels=tensor(case.inputs["labels"]), num_classes=case.params["num_classes"], n=case.params["n"])
                np.testing.assert_array_equal(array(call.RedundantOneHot(request).codes), case.outputs["codes"])
                request.mask_dtype = data_type("DATA_TYPE_BIT")
                np.testing.assert_array_equal(array(call.RedundantOneHot(request).codes), case.outputs["codes"] != 0)

    def test_first_spike_index_is_exact(self):
        for case in golden("first_spike_index"):
            with self.subTest(case.name):
                request = functions.FirstSpikeIndexRequest(spikes=tensor(case.inputs["spikes"]))
                expected = case.outputs["index"]
                np.testing.assert_array_equal(array(call.FirstSpikeIndex(request).index), expected)
                request.index_output = True
                steps = np.where(expected.any(-1), expected.argmax(-1), -1)
                np.testing.assert_array_equal(array(call.FirstSpikeIndex(request).index), steps)

    def test_spikes_come_in_every_dtype_and_form(self):
        case = next(case for case in golden("first_spike_index") if case.name == "random_4")
        spikes = case.inputs["spikes"]
        tensors = {dtype: tensor(spikes.astype(dtype)) for dtype in harness.DTYPES}
        tensors["bit"] = harness.bit_tensor(spikes)
        for dtype in harness.DTYPES:
            tensors["values of " + dtype] = harness.values_tensor(spikes, dtype)
        for dtype in (*harness.DTYPES.values(), "DATA_TYPE_BIT"):
            tensors["events of " + dtype] = harness.event_tensor(spikes, dtype)
        for form, message in tensors.items():
            with self.subTest(form):
                response = call.FirstSpikeIndex(functions.FirstSpikeIndexRequest(spikes=message))
                np.testing.assert_array_equal(array(response.index), case.outputs["index"])

    def test_threshold_margin_is_exact(self):
        for case in golden("set_threshold_margin"):
            with self.subTest(case.name):
                response = call.ThresholdMargin(functions.ThresholdMarginRequest(
                    label_one_hot=tensor(case.inputs["label_one_hot"]), **case.params))
                np.testing.assert_array_equal(array(response.v_threshold), case.outputs["v_threshold"])

    @staticmethod
    def threshold(case):
        threshold = case.inputs.get("v_threshold")
        return tensor(np.float32(case.params["v_threshold"]) if threshold is None else threshold)

    @staticmethod
    def similar_loss_request(case):
        return functions.SpikeSimilarLossRequest(
            spikes=tensor(case.inputs["spikes"]), labels=tensor(case.inputs["labels"]),
            kernel=kernel(case.params["kernel_type"], case.params),
            loss_type="LOSS_TYPE_" + case.params["loss_type"].upper(), compute_gradient=True)

    @staticmethod
    def similar_loss_in_float64(case):
        x = case.inputs["spikes"].reshape(len(case.inputs["spikes"]), -1).astype(np.float64)
        similarity = harness.kernel_in_float64(case.params["kernel_type"], case.params, x, x)
        if case.params["kernel_type"] == "linear":
            norms = np.linalg.norm(x, axis=1)
            similarity /= np.outer(norms, norms) + 1e-8
        wanted = np.minimum(1, case.inputs["labels"] @ case.inputs["labels"].T)
        if case.params["loss_type"] == "mse":
            return ((similarity - wanted) ** 2).mean()
        if case.params["loss_type"] == "l1":
            return np.abs(similarity - wanted).mean()
        with np.errstate(divide="ignore"):
            log_p, log_q = (np.maximum(np.log(p), -100) for p in (similarity, 1 - similarity))
        return -(wanted * log_p + (1 - wanted) * log_q).mean()
