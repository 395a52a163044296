"""SpikeTrainingService against the golden gradients, and against numpy's restatement of a small network in float64."""
import unittest

import grpc
import harness
import numpy as np
import test_networks
from harness import array, call, golden, network_state, networks, tensor, training

STEPS, BATCH, FEATURES, HIDDEN, CLASSES = 6, 10, 5, 8, 2
TAU, ALPHA, P = 2.0, 2.0, 0.5
SGD = network_state.Optimizer(sgd=network_state.Sgd(learning_rate=0.5))


class Restated:
    """Linear, LIF with a hard reset, linear, PLIF with a soft one: forth and back, in float64."""

    def __init__(self, parameters):
        self.parameters = {name: value.astype(np.float64) for name, value in parameters.items()}

    def forward(self, x):
        w1, b1, w2, b2, p = (self.parameters[name] for name in NAMES)
        self.x, self.u1, self.s1, self.i2, self.v2, self.u2 = x.astype(np.float64), [], [], [], [], []
        v1, v2 = np.zeros((BATCH, HIDDEN)), np.zeros((BATCH, CLASSES))
        for step in self.x:
            u1 = v1 + (step @ w1.T + b1 - v1) / TAU
            s1 = (u1 >= 1).astype(float)
            v1 = u1 * (1 - s1)
            i2 = s1 @ w2.T + b2
            u2 = v2 + (i2 - v2) * p
            for values, value in zip((self.u1, self.s1, self.i2, self.v2, self.u2), (u1, s1, i2, v2, u2)):
                values.append(value)
            v2 = u2 - (u2 >= 1)
        # Spikes that a rounding could turn would make the comparison a matter of luck.
        voltages = np.concatenate([np.ravel(self.u1), np.ravel(self.u2)])
        assert np.abs(voltages - 1).min() > 1e-5, "choose other numbers"
        return (np.array(self.u2) >= 1).astype(float)

    def backward(self, grad_output):
        """The gradients of the parameters and of x."""
        w1, _, w2, _, p = (self.parameters[name] for name in NAMES)
        grads = {name: np.zeros_like(value) for name, value in self.parameters.items()}
        grad_x = np.zeros_like(self.x)
        slope = lambda u: ALPHA * sigmoid(ALPHA * (u - 1)) * (1 - sigmoid(ALPHA * (u - 1)))
        gv1, gv2 = np.zeros((BATCH, HIDDEN)), np.zeros((BATCH, CLASSES))
        for t in reversed(range(STEPS)):
            gu2 = (grad_output[t] - gv2) * slope(self.u2[t]) + gv2
            grads["plif.p"] += (gu2 * (self.i2[t] - self.v2[t])).sum()
            gi2 = gu2 * p
            gv2 = gu2 * (1 - p)
            grads["second.weight"] += gi2.T @ self.s1[t]
            grads["second.bias"] += gi2.sum(0)
            gu1 = (gi2 @ w2 - gv1 * self.u1[t]) * slope(self.u1[t]) + gv1 * (1 - self.s1[t])
            gi1 = gu1 / TAU
            gv1 = gu1 * (1 - 1 / TAU)
            grads["first.weight"] += gi1.T @ self.x[t]
            grads["first.bias"] += gi1.sum(0)
            grad_x[t] = gi1 @ w1
        return grads, grad_x


NAMES = ("first.weight", "first.bias", "second.weight", "second.bias", "plif.p")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rate_loss(spikes, labels):
    """The mean squared error of firing rates, and its gradient."""
    error = spikes.mean(0) - np.eye(CLASSES)[labels]
    return (error**2).mean(), np.broadcast_to(2 * error / error.size / len(spikes), spikes.shape)


class SpikeTraining(unittest.TestCase):
    create = test_networks.SpikeNetworks.create
    delete_if_there = staticmethod(test_networks.SpikeNetworks.delete_if_there)

    def setUp(self):
        rng = np.random.default_rng(5)
        self.x = rng.normal(size=(STEPS, BATCH, FEATURES)).astype(np.float32)
        self.labels = np.arange(BATCH) % CLASSES
        # What is to be learnt: the sign of a feature.
        self.x[:, :, 0] = np.abs(self.x[:, :, 0]) * (2 * self.labels - 1)
        surrogate = networks.Surrogate(sigmoid=networks.Surrogate.Sigmoid(alpha=ALPHA))
        linear = lambda rows, columns: networks.Linear(
            weight=tensor(rng.normal(size=(rows, columns)).astype(np.float32)),
            bias=tensor(np.full(rows, 0.25, np.float32)))
        self.layers = (
            networks.Layer(name="first", linear=linear(HIDDEN, FEATURES)),
            networks.Layer(name="lif", lif_node=networks.LifNode(tau=TAU, surrogate=surrogate)),
            networks.Layer(name="second", linear=linear(CLASSES, HIDDEN)),
            networks.Layer(name="plif",
                           plif_node=networks.PlifNode(init_tau=1 / P, soft_reset=True, surrogate=surrogate)))

    @staticmethod
    def parameters(network):
        first, _, second, plif = call.GetNetwork(networks.GetNetworkRequest(network=network)).layers
        return dict(zip(NAMES, (array(first.linear.weight), array(first.linear.bias), array(second.linear.weight),
                                array(second.linear.bias), np.float32(plif.plif_node.p))))

    @staticmethod
    def train(network, x, labels, **fields):
        return call.TrainStep(training.TrainStepRequest(
            network=network, input=tensor(x), labels=tensor(labels), num_classes=CLASSES,
            losses=[training.LossTerm(rate=training.RateLoss())], optimizer=SGD, **fields))

    def assert_close(self, got, wanted):
        for name in NAMES:
            largest = max(1e-3, np.abs(wanted[name]).max())
            np.testing.assert_allclose(got[name], wanted[name], rtol=0, atol=1e-5 * largest, err_msg=name)

    def test_golden_gradients_of_neurons(self):
        learnt = 0
        for case in golden("neuron"):
            with self.subTest(case.name):
                network = self.create(test_networks.SpikeNetworks.neuron(case.params))
                call.Forward(networks.ForwardRequest(network=network, input=tensor(case.inputs["dv"]), keep_trace=True))
                response = call.Backward(training.BackwardRequest(
                    network=network, grad_output=tensor(case.inputs["grad_spikes"]), compute_grad_input=True,
                    include_gradients=True))
                reference = case.outputs["grad_dv"]
                np.testing.assert_allclose(array(response.grad_input), reference, rtol=0,
                                           atol=1e-5 * max(1, np.abs(reference).max()))
                for name in ("grad_tau", "grad_g"):
                    if name in case.outputs:
                        learnt += 1
                        self.assertEqual(list(response.gradients[0].values.shape), [])
                        np.testing.assert_allclose(array(response.gradients[0].values), case.outputs[name].reshape(()),
                                                   rtol=1e-5, atol=1e-5)
        self.assertGreaterEqual(learnt, 10)

    def test_backward_is_the_restatement(self):
        network = self.create(*self.layers)
        restated = Restated(self.parameters(network))
        grad_output = np.random.default_rng(6).normal(size=(STEPS, BATCH, CLASSES)).astype(np.float32)
        spikes = restated.forward(self.x)
        grads, grad_x = restated.backward(grad_output)
        # The trace goes over two messages.
        for part in (self.x[:2], self.x[2:]):
            output = call.Forward(networks.ForwardRequest(network=network, input=tensor(part), keep_trace=True)).output
        np.testing.assert_array_equal(array(output), spikes[2:] != 0)
        response = call.Backward(training.BackwardRequest(
            network=network, grad_output=tensor(grad_output), compute_grad_input=True, include_gradients=True))
        self.assert_close({f"{g.layer}.{g.parameter}": array(g.values) for g in response.gradients}, grads)
        np.testing.assert_allclose(array(response.grad_input), grad_x, rtol=0, atol=1e-5 * np.abs(grad_x).max())

    def test_training_steps_are_the_restatements_and_the_network_learns(self):
        network = self.create(*self.layers)
        losses = []
        for step in range(40):
            before = self.parameters(network)
            restated = Restated(before)
            spikes = restated.forward(self.x)
            loss, grad_output = rate_loss(spikes, self.labels)
            grads, _ = restated.backward(grad_output)
            response = self.train(network, self.x, self.labels, step=step)
            self.assertEqual(response.next_step, step + 1)
            self.assertAlmostEqual(response.loss, loss, places=6)
            self.assertAlmostEqual(response.spike_rates[1].rate, spikes.mean(), places=6)
            correct = (spikes.sum(0).argmax(1) == self.labels).sum()
            self.assertEqual((response.correct, response.accuracy), (correct, correct / BATCH))
            self.assert_close(self.parameters(network), {name: before[name] - 0.5 * grads[name] for name in NAMES})
            losses.append(loss)
        self.assertLess(losses[-1], losses[0] / 2)

    def test_a_loss_of_the_callers_own_trains_as_the_servers(self):
        whole, in_parts = self.create(*self.layers), self.create(*self.layers)
        for _ in range(5):
            self.train(whole, self.x, self.labels)
            output = call.Forward(networks.ForwardRequest(network=in_parts, input=tensor(self.x), keep_trace=True)).output
            _, grad_output = rate_loss(array(output).astype(np.float64), self.labels)
            call.ZeroGradients(training.ZeroGradientsRequest(network=in_parts))
            call.Backward(training.BackwardRequest(network=in_parts, grad_output=tensor(grad_output.astype(np.float32))))
            call.ApplyGradients(training.ApplyGradientsRequest(network=in_parts, optimizer=SGD))
            call.ResetNet(networks.ResetNetRequest(network=in_parts))
            self.assert_close(self.parameters(in_parts), self.parameters(whole))

    def test_a_checkpoint_goes_on(self):
        network = self.create(*self.layers)
        adam = network_state.Optimizer(adam=network_state.Adam())
        step = lambda name: call.TrainStep(training.TrainStepRequest(
            network=name, input=tensor(self.x), labels=tensor(self.labels), num_classes=CLASSES,
            losses=[training.LossTerm(count=training.CountLoss())], optimizer=adam))
        step(network)
        saved = call.GetNetwork(networks.GetNetworkRequest(
            network=network, include_state=True, include_optimizer_state=True, include_gradients=True))
        self.assertEqual(saved.format_version, 1)
        copy = call.CreateNetwork(networks.CreateNetworkRequest(
            layers=saved.layers, training=saved.training, state=saved.state, optimizer_state=saved.optimizer_state,
            gradients=saved.gradients, format_version=saved.format_version)).network
        self.addCleanup(self.delete_if_there, copy)
        self.assertEqual(step(copy).losses, step(network).losses)
        self.assertEqual(call.GetNetwork(networks.GetNetworkRequest(network=copy)).layers,
                         call.GetNetwork(networks.GetNetworkRequest(network=network)).layers)

    def test_the_limit_of_traces_is_a_flag_of_the_server(self):
        if not harness.binary:
            self.skipTest("needs a server of its own")
        flags = ("--listen=127.0.0.1:0", "--max-trace-bytes=2000")
        with harness.running_server(harness.binary, *flags) as address, grpc.insecure_channel(address) as channel:
            small = harness.calls_on(channel)
            network = small.CreateNetwork(networks.CreateNetworkRequest(layers=self.layers)).network
            forward = lambda: small.Forward(networks.ForwardRequest(
                network=network, input=tensor(self.x[:1]), keep_trace=True))
            forward()
            with self.assertRaises(grpc.RpcError) as raised:
                forward()
            self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertIn("--max-trace-bytes", raised.exception.details())

    def test_bad_input_is_refused_by_the_name_of_its_field(self):
        network = self.create(*self.layers)
        harness.assert_refused(lambda: self.train(network, self.x, self.labels[:3]), "labels")
        harness.assert_refused(lambda: self.train(network, self.x, self.labels, margin={"threshold0": np.nan}),
                               "margin.threshold0")
        call.Forward(networks.ForwardRequest(network=network, input=tensor(self.x), keep_trace=True))
        wrong = training.LayerGradient(layer="lif", grad_spikes=tensor(np.zeros((STEPS, BATCH, 1), np.float32)))
        harness.assert_refused(
            lambda: call.Backward(training.BackwardRequest(network=network, layer_gradients=[wrong])),
            "layer_gradients[0].grad_spikes")
        call.ResetNet(networks.ResetNetRequest(network=network))
        with self.assertRaises(grpc.RpcError) as raised:
            call.Backward(training.BackwardRequest(network=network))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
