"""SpikeNetworkService against the golden cases, and its rules on state."""
import queue
import unittest

import grpc
import harness
import numpy as np
from harness import array, call, golden, networks, tensor


class SpikeNetworks(unittest.TestCase):

    def create(self, *layers):
        network = call.CreateNetwork(networks.CreateNetworkRequest(layers=layers)).network
        self.addCleanup(self.delete_if_there, network)
        return network

    @staticmethod
    def delete_if_there(network):
        try:
            call.DeleteNetwork(networks.DeleteNetworkRequest(network=network))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error

    @staticmethod
    def neuron(params):
        """The layer of a golden case of neurons."""
        layer = networks.Layer(name="neuron")
        node = getattr(layer, params["type"] + "_node")
        node.v_threshold = params["v_threshold"]
        node.soft_reset = params["v_reset"] is None
        if params["v_reset"] is not None:
            node.v_reset = params["v_reset"]
        surrogate = getattr(node.surrogate, params["surrogate"])
        for name in ("alpha", "beta", "a", "b", "c"):
            if name in params:
                setattr(surrogate, name, params[name])
        for name in ("tau", "init_tau", "init_w", "amplitude"):
            if name in params:
                setattr(node, name, params[name])
        node.monitor = True
        return layer

    @staticmethod
    def forward(network, steps, **fields):
        return call.Forward(networks.ForwardRequest(network=network, input=tensor(steps), **fields))

    def test_neurons_spike_as_the_reference_does(self):
        for case in golden("neuron"):
            with self.subTest(case.name):
                dv, spikes = case.inputs["dv"], case.outputs["spikes"]
                network = self.create(self.neuron(case.params))
                record = networks.RecordRequest(layer="neuron", spikes=True, v_before_reset=True, v_after_reset=True)
                response = self.forward(network, dv, records=[record])
                np.testing.assert_array_equal(array(response.output), spikes != 0)
                np.testing.assert_array_equal(array(response.records[0].spikes), spikes != 0)
                voltages = array(response.records[0].v_after_reset)
                np.testing.assert_allclose(voltages, case.outputs["v_after_step"], rtol=1e-6, atol=1e-7)

                monitors = call.GetNetwork(networks.GetNetworkRequest(network=network, include_monitors=True)).monitors
                self.assertEqual(monitors[0].v_before_reset, response.records[0].v_before_reset)

                # A reset, and then step by step: as the first time.
                call.ResetNet(networks.ResetNetRequest(network=network))
                for step, charge in enumerate(dv):
                    output = self.forward(network, charge, single_step=True).output
                    np.testing.assert_array_equal(array(output), spikes[step] != 0)

    def test_low_pass_synapse(self):
        for case in golden("low_pass_synapse"):
            with self.subTest(case.name):
                layer = networks.Layer()
                layer.low_pass_synapse.tau = case.params["tau"]
                output = self.forward(self.create(layer), case.inputs["in_spikes"][:, None, :]).output
                np.testing.assert_allclose(array(output)[:, 0, :], case.outputs["out_i"], rtol=1e-6, atol=1e-7)

    def test_threshold_margin_of_a_network(self):
        for case in golden("set_threshold_margin"):
            with self.subTest(case.name):
                params = dict(case.params)
                training = params.pop("training")
                network = self.create(networks.Layer(name="output", if_node=networks.IfNode()))
                call.SetTraining(networks.SetTrainingRequest(network=network, training=training))
                response = call.SetThresholdMargin(networks.SetThresholdMarginRequest(
                    network=network, layer="output", label_one_hot=tensor(case.inputs["label_one_hot"]), **params))
                expected = case.outputs["v_threshold"]
                np.testing.assert_array_equal(array(response.v_threshold), expected)
                state = call.GetNetwork(networks.GetNetworkRequest(network=network))
                self.assertEqual(state.training, training)
                node = state.layers[0].if_node
                held = array(node.v_threshold_tensor) if training else np.float32(node.v_threshold)
                np.testing.assert_array_equal(held, expected)

    def test_a_network_of_layers_and_its_copy(self):
        rng = np.random.default_rng(7)
        weight, bias = rng.normal(size=(5, 8)).astype(np.float32), np.full(5, 0.25, np.float32)
        network = self.create(
            networks.Layer(name="hidden", linear=networks.Linear(weight=tensor(weight), bias=tensor(bias))),
            networks.Layer(name="mask", dropout=networks.Dropout(p=0.5, seed=3)),
            networks.Layer(name="output", lif_node=networks.LifNode(tau=2)))
        steps = (rng.random((6, 3, 8)) < 0.5).astype(np.uint8)
        first = array(self.forward(network, steps).output)
        self.assertEqual(first.shape, (6, 3, 5))
        self.assertEqual(first.dtype, bool)
        layers = call.GetNetwork(networks.GetNetworkRequest(network=network)).layers
        self.assertEqual([layer.name for layer in layers], ["hidden", "mask", "output"])
        np.testing.assert_array_equal(array(layers[0].linear.weight), weight)
        np.testing.assert_array_equal(array(self.forward(self.create(*layers), steps).output), first)

    def test_a_repeated_step_changes_nothing_and_a_wrong_one_is_refused(self):
        network = self.create(networks.Layer(lif_node=networks.LifNode(tau=2)))
        charge = np.full((1, 1, 2), 0.6, np.float32)
        first = self.forward(network, charge, step=0)
        self.assertEqual(first.next_step, 1)
        self.assertEqual(self.forward(network, charge, step=0), first)
        self.assertEqual(self.forward(network, charge, step=1).next_step, 2)
        with self.assertRaises(grpc.RpcError) as raised:
            self.forward(network, charge, step=7)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)

    def test_a_stream_of_steps_is_the_forward_of_all_of_them(self):
        layers = (networks.Layer(linear=networks.Linear(weight=tensor(np.eye(4, 6, dtype=np.float32) * 0.7))),
                  networks.Layer(name="output", lif_node=networks.LifNode(tau=2)))
        steps = np.random.default_rng(3).random((9, 2, 6)).astype(np.float32) * 3
        record = networks.RecordRequest(layer="output", v_after_reset=True)
        whole = self.forward(self.create(*layers), steps, records=[record])
        network = self.create(*layers)
        opening = networks.RunRequest.Open(network=network, records=[record])
        blocks = [steps[:1], steps[1:4], steps[4:4], steps[4:]]
        for _ in range(2):
            requests = [networks.RunRequest(input=tensor(block)) for block in blocks]
            requests[0].open.CopyFrom(opening)
            requests[0].reset = True
            responses = call.Run(requests)
            self.assertEqual(len(responses), len(blocks))
            np.testing.assert_array_equal(
                np.concatenate([array(response.output) for response in responses]), array(whole.output))
            np.testing.assert_array_equal(
                np.concatenate([array(response.records[0].v_after_reset) for response in responses]),
                array(whole.records[0].v_after_reset))
        self.assertEqual(responses[-1].next_step, 2 * len(blocks))

    def test_a_stream_answers_each_step_before_the_next_one_is_sent(self):
        network = self.create(networks.Layer(if_node=networks.IfNode()))
        outgoing = queue.SimpleQueue()
        responses = call.open("Run", iter(outgoing.get, None))
        answered, spiked = [], False
        for number in range(4):
            # A step that depends on what the last one came to.
            request = networks.RunRequest(reset=spiked, input=tensor(np.full((1, 1), 0.5, np.float32)), step=number)
            if number == 0:
                request.open.network = network
                request.open.single_step = True
            outgoing.put(request)
            spiked = bool(array(next(responses).output)[0, 0])
            answered.append(spiked)
        outgoing.put(None)
        self.assertEqual(list(responses), [])
        self.assertEqual(answered, [False, True, False, True])

    def test_a_stream_on_a_network_that_is_gone_or_wrong_is_refused(self):
        network = self.create(networks.Layer(if_node=networks.IfNode()))
        step = tensor(np.zeros((1, 1, 1), np.float32))
        first = networks.RunRequest(open={"network": network}, input=step)
        harness.assert_refused(lambda: call.Run([networks.RunRequest(input=step)]), "open")
        harness.assert_refused(lambda: call.Run([first, first]), "open")
        wide = networks.RunRequest(input=tensor(np.zeros((1, 1, 2), np.float32)))
        harness.assert_refused(lambda: call.Run([first, wide]), "input")
        call.DeleteNetwork(networks.DeleteNetworkRequest(network=network))
        with self.assertRaises(grpc.RpcError) as raised:
            call.Run([first])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_deleted_networks_are_gone(self):
        network = self.create(networks.Layer(if_node=networks.IfNode()))
        held = lambda: [entry.network for entry in call.ListNetworks(networks.ListNetworksRequest()).networks]
        self.assertIn(network, held())
        call.DeleteNetwork(networks.DeleteNetworkRequest(network=network))
        self.assertNotIn(network, held())
        with self.assertRaises(grpc.RpcError) as raised:
            self.forward(network, np.zeros((1, 1, 1), np.float32))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertIn("network", raised.exception.details())

    def test_another_batch_size_needs_a_reset(self):
        network = self.create(networks.Layer(if_node=networks.IfNode()))
        self.forward(network, np.zeros((1, 2, 3), np.float32))
        harness.assert_refused(lambda: self.forward(network, np.zeros((1, 4, 3), np.float32)), "input")
        call.ResetNet(networks.ResetNetRequest(network=network))
        self.forward(network, np.zeros((1, 4, 3), np.float32))
