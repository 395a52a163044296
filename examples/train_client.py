"""Trains a spiking network on handwritten digits, on a server: train_client.py HOST:PORT [EPOCHS]

Needs numpy and grpcio, and stubs that are made from the protos:
    protoc -I proto --python_out=. --grpc_out=. --plugin=protoc-gen-grpc=$(which grpc_python_plugin) \
        proto/spikeserve/v1/*.proto
"""
import pathlib
import sys

import grpc
import numpy as np
from spikeserve.v1 import network_state_pb2, networks_pb2, networks_pb2_grpc, tensor_pb2, training_pb2, training_pb2_grpc

STEPS, BATCH, HIDDEN, CLASSES, TEST_DIGITS = 8, 64, 256, 10, 360
DTYPES = {np.dtype(np.float32): tensor_pb2.DATA_TYPE_FLOAT32, np.dtype(np.int64): tensor_pb2.DATA_TYPE_INT64}


def tensor(array):
    """An array as a message."""
    return tensor_pb2.Tensor(dtype=DTYPES[array.dtype], shape=array.shape, data=array.tobytes())


def linear(name, inputs, outputs, random):
    """A fully connected layer with parameters drawn as PyTorch does."""
    bound = inputs**-0.5
    weight = random.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
    bias = random.uniform(-bound, bound, outputs).astype(np.float32)
    return networks_pb2.Layer(name=name, linear=networks_pb2.Linear(weight=tensor(weight), bias=tensor(bias)))


def lif(name):
    """Leaky integrate-and-fire neurons; spikes get the derivative of a steep sigmoid."""
    surrogate = networks_pb2.Surrogate(sigmoid=networks_pb2.Surrogate.Sigmoid(alpha=4))
    return networks_pb2.Layer(name=name, lif_node=networks_pb2.LifNode(tau=2, surrogate=surrogate))


def split(labels, random):
    """The indices of training and of test digits: of the latter the same part of each class."""
    place = np.empty(len(labels))  # Of a digit among those of its class, in [0, 1).
    for c in range(CLASSES):
        digits = random.permutation(np.flatnonzero(labels == c))
        place[digits] = (np.arange(len(digits)) + 0.5) / len(digits)
    digits = place.argsort(kind="stable")
    return digits[TEST_DIGITS:], digits[:TEST_DIGITS]


class Network:
    """A network on the server. Each change carries its number: one whose answer is lost may be sent again."""

    def __init__(self, channel, layers):
        self.networks = networks_pb2_grpc.SpikeNetworkServiceStub(channel)
        self.training = training_pb2_grpc.SpikeTrainingServiceStub(channel)
        created = self.networks.CreateNetwork(networks_pb2.CreateNetworkRequest(layers=layers))
        self.name, self.step = created.network, created.next_step

    def train(self, images, labels):
        """One step of Adam on a batch."""
        result = self.training.TrainStep(training_pb2.TrainStepRequest(
            network=self.name, step=self.step, input=tensor(images), repeat_input=STEPS, labels=tensor(labels),
            num_classes=CLASSES, losses=[training_pb2.LossTerm(count=training_pb2.CountLoss())],
            optimizer=network_state_pb2.Optimizer(adam=network_state_pb2.Adam(learning_rate=1e-3))))
        self.step = result.next_step
        return result

    def classify(self, images):
        """The class whose output neuron fires most, of each image."""
        currents = np.repeat(images[np.newaxis], STEPS, axis=0)
        result = self.networks.Forward(networks_pb2.ForwardRequest(
            network=self.name, step=self.step, input=tensor(currents)))
        self.step = self.networks.ResetNet(networks_pb2.ResetNetRequest(
            network=self.name, step=result.next_step)).next_step
        spikes = np.frombuffer(result.output.data, bool).reshape(result.output.shape)
        return spikes.sum(axis=0).argmax(axis=-1)

    def delete(self):
        self.networks.DeleteNetwork(networks_pb2.DeleteNetworkRequest(network=self.name))


def main():
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    digits = np.load(pathlib.Path(__file__).resolve().parent / "data" / "digits.npz")
    images = digits["images"].astype(np.float32) / 16
    labels = digits["labels"].astype(np.int64)
    random = np.random.default_rng(1)
    training, test = split(labels, random)
    layers = [linear("fc1", images.shape[1], HIDDEN, random), lif("lif1"),
              linear("fc2", HIDDEN, CLASSES, random), lif("lif2")]
    with grpc.insecure_channel(sys.argv[1]) as channel:
        network = Network(channel, layers)
        for epoch in range(1, epochs + 1):
            order = random.permutation(training)
            loss = correct = 0
            for begin in range(0, len(order), BATCH):
                batch = order[begin:begin + BATCH]
                result = network.train(images[batch], labels[batch])
                loss += result.loss * len(batch) / len(order)
                correct += result.correct
            accuracy = (network.classify(images[test]) == labels[test]).mean()
            print(f"epoch {epoch}/{epochs}  loss {loss:.4f}  training {correct / len(order):.2%}  test {accuracy:.2%}")
        print(f"{accuracy:.2%} of {len(test)} held-out digits are classified right")
        network.delete()


main()
