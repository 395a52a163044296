"""TLS and tokens, as grpcio's users have them: certificates of the openssl program, call credentials."""
import hashlib
import pathlib
import subprocess
import tempfile
import unittest

import grpc
import harness
import numpy as np
from harness import functions, networks, server, tensor


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder, *names):
    """An authority ca.pem, and NAME.pem and NAME.key of each name."""
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *new_key, "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "extensions").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in names:
        openssl(folder, "req", *new_key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", "extensions", "-out", f"{name}.pem")


class Security(unittest.TestCase):

    def setUp(self):
        if not harness.binary:
            self.skipTest("needs to start the server")
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        make_certificates(self.folder, "server", "alice", "bob")

    def serve(self, *flags):
        return self.enterContext(harness.running_server(
            harness.binary, "--listen=127.0.0.1:0", f"--tls-cert={self.folder}/server.pem",
            f"--tls-key={self.folder}/server.key", *flags))

    def channel(self, address, certificate=None, token=None):
        def read(name):
            return (self.folder / name).read_bytes()

        pair = (read(f"{certificate}.key"), read(f"{certificate}.pem")) if certificate else (None, None)
        credentials = grpc.ssl_channel_credentials(read("ca.pem"), *pair)
        if token:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        return self.enterContext(grpc.secure_channel(address, credentials))

    def test_a_token_tells_who_calls_over_tls(self):
        tokens = {name: f"{name}-secret" for name in ("alice", "bob")}
        (self.folder / "tokens").write_text("".join(
            f"{name}:{hashlib.sha256(token.encode()).hexdigest()}\n" for name, token in tokens.items()))
        address = self.serve(f"--tokens={self.folder}/tokens")
        alice, bob = (harness.calls_on(self.channel(address, token=token)) for token in tokens.values())

        spikes = tensor(np.array([[0, 1, 0]], np.uint8))
        index = alice.FirstSpikeIndex(functions.FirstSpikeIndexRequest(spikes=spikes, index_output=True)).index
        self.assertEqual(list(harness.array(index)), [1])
        for wrong in (None, "nobody-secret"):
            with self.assertRaises(grpc.RpcError) as raised:
                harness.calls_on(self.channel(address, token=wrong)).ServerStatistics(server.ServerStatisticsRequest())
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
        self.check_ownership(alice, bob)
        # These need no token.
        health = self.channel(address).unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(health(b"", timeout=30), b"\x08\x01")
        info = self.channel(address).stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        self.assertIn(b"SpikeNetworkService", next(iter(info(iter([b"\x3a\x00"]), timeout=30))))

    def test_a_certificate_tells_who_calls(self):
        address = self.serve(f"--tls-client-ca={self.folder}/ca.pem")
        self.check_ownership(*(harness.calls_on(self.channel(address, certificate=name)) for name in ("alice", "bob")))
        with self.assertRaises(grpc.RpcError) as raised:
            harness.calls_on(self.channel(address)).ServerStatistics(server.ServerStatisticsRequest())
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def check_ownership(self, alice, bob):
        layers = [networks.Layer(name="neuron", if_node=networks.IfNode())]
        network = alice.CreateNetwork(networks.CreateNetworkRequest(layers=layers)).network
        self.assertEqual([n.network for n in alice.ListNetworks(networks.ListNetworksRequest()).networks], [network])
        self.assertEqual(len(bob.ListNetworks(networks.ListNetworksRequest()).networks), 0)
        with self.assertRaises(grpc.RpcError) as raised:
            bob.DeleteNetwork(networks.DeleteNetworkRequest(network=network))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        with self.assertRaises(grpc.RpcError) as raised:
            bob.Run([networks.RunRequest(open=networks.RunRequest.Open(network=network),
                                         input=tensor(np.zeros((1, 1, 1), np.float32)))])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)
        alice.DeleteNetwork(networks.DeleteNetworkRequest(network=network))
