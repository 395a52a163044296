// Counts the spike clusters of two neurons: node node_client.js HOST:PORT
// Needs the npm packages @grpc/grpc-js and @grpc/proto-loader.

const path = require('path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const protos = path.join(__dirname, '..', 'proto');
const definition = protoLoader.loadSync('spikeserve/v1/functions.proto', {includeDirs: [protos]});
const {SpikeFunctionService} = grpc.loadPackageDefinition(definition).spikeserve.v1;
const client = new SpikeFunctionService(process.argv[2], grpc.credentials.createInsecure());

// A tensor written by hand: a row for each step, a column for each neuron.
const v = {dtype: 'DATA_TYPE_FLOAT32', shape: [6, 2], values: [1.2, 1.5, 1.1, 0.3, 0.2, 1.0, 0.4, 0.1, 0.6, 1.3, 1.0, 0.2]};
const vThreshold = {dtype: 'DATA_TYPE_FLOAT32', values: [1]};
client.SpikeCluster({v, vThreshold, tIn: 2, indexOutput: true}, (error, response) => {
  if (error) throw error;
  console.log(new Float32Array(new Uint8Array(response.nO.data).buffer));  // [ 2, 1 ]
  console.log(new Int32Array(new Uint8Array(response.kNegative.data).buffer));  // [ 5, 4 ]
  client.close();
});
