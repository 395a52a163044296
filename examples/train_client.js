// Trains a spiking network on handwritten digits, on a server: node train_client.js HOST:PORT [EPOCHS]
// Needs the npm packages @grpc/grpc-js and @grpc/proto-loader.
'use strict';

const fs = require('fs');
const path = require('path');
const zlib = require('zlib');
const {promisify} = require('util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const STEPS = 8, BATCH = 64, HIDDEN = 256, CLASSES = 10, TEST_DIGITS = 360;

const definition = protoLoader.loadSync(
    ['spikeserve/v1/networks.proto', 'spikeserve/v1/training.proto'],
    {includeDirs: [path.join(__dirname, '..', 'proto')], longs: Number, defaults: true});
const {SpikeNetworkService, SpikeTrainingService} = grpc.loadPackageDefinition(definition).spikeserve.v1;

// Numbers in [0, 1), the same each time (mulberry32).
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = generator(1);

function shuffle(values) {
  for (let i = values.length - 1; i > 0; --i) {
    const j = Math.floor(random() * (i + 1));
    [values[i], values[j]] = [values[j], values[i]];
  }
  return values;
}

const float32 = (shape, data) => ({dtype: 'DATA_TYPE_FLOAT32', shape, data: Buffer.from(data.buffer)});
const int32 = (shape, data) => ({dtype: 'DATA_TYPE_INT32', shape, data: Buffer.from(data.buffer)});

// The bytes of a member of digits.npz: a ZIP archive of .npy files, each with a header of `n` bytes.
function readMember(file, member) {
  const central = file.indexOf(Buffer.from(`${member}.npy`), file.indexOf('PK\x01\x02', 0, 'latin1')) - 46;
  const local = file.readUInt32LE(central + 42);
  const start = local + 30 + file.readUInt16LE(local + 26) + file.readUInt16LE(local + 28);
  const npy = zlib.inflateRawSync(file.subarray(start, start + file.readUInt32LE(central + 20)));
  return npy.subarray(10 + npy.readUInt16LE(8));
}

// A fully connected layer with parameters drawn as PyTorch does, and leaky integrate-and-fire neurons, whose spikes get
// the derivative of a steep sigmoid.
function layers(inputs, outputs, index) {
  const draw = (n) => Float32Array.from({length: n}, () => (2 * random() - 1) / Math.sqrt(inputs));
  const weight = float32([outputs, inputs], draw(outputs * inputs));
  return [
    {name: `fc${index}`, linear: {weight, bias: float32([outputs], draw(outputs))}},
    {name: `lif${index}`, lifNode: {tau: 2, surrogate: {sigmoid: {alpha: 4}}}},
  ];
}

// The indices of training and of test digits: of the latter the same part of each class.
function split(labels) {
  const place = new Float64Array(labels.length);  // Of a digit among those of its class, in [0, 1).
  for (let c = 0; c < CLASSES; ++c) {
    const digits = shuffle([...labels.keys()].filter((i) => labels[i] === c));
    digits.forEach((digit, i) => place[digit] = (i + 0.5) / digits.length);
  }
  const digits = [...labels.keys()].sort((a, b) => place[a] - place[b]);
  return {training: digits.slice(TEST_DIGITS), test: digits.slice(0, TEST_DIGITS)};
}

// The images of these digits, each pixel a constant current.
function currents(images, pixels, digits, steps) {
  const data = new Float32Array(steps * digits.length * pixels);
  for (let t = 0, i = 0; t < steps; ++t) {
    for (const digit of digits) {
      for (let p = 0; p < pixels; ++p) data[i++] = images[digit * pixels + p] / 16;
    }
  }
  return data;
}

async function main(address, epochs) {
  const file = fs.readFileSync(path.join(__dirname, 'data', 'digits.npz'));
  const images = readMember(file, 'images'), labels = readMember(file, 'labels');
  const pixels = images.length / labels.length;
  const {training, test} = split(labels);

  const clients = [SpikeNetworkService, SpikeTrainingService].map((S) => new S(address, grpc.credentials.createInsecure()));
  const [networks, trainings] = clients;
  const call = (client, rpc, request) => promisify(client[rpc]).call(client, request);
  const created =
      await call(networks, 'CreateNetwork', {layers: [...layers(pixels, HIDDEN, 1), ...layers(HIDDEN, CLASSES, 2)]});
  const network = created.network;
  // Each change carries its number: one whose answer is lost may be sent again.
  let step = created.nextStep;

  let accuracy;
  for (let epoch = 1; epoch <= epochs; ++epoch) {
    shuffle(training);
    let loss = 0, correct = 0;
    for (let begin = 0; begin < training.length; begin += BATCH) {
      const batch = training.slice(begin, begin + BATCH);
      const result = await call(trainings, 'TrainStep', {
        network, step,
        input: float32([batch.length, pixels], currents(images, pixels, batch, 1)), repeatInput: STEPS,
        labels: int32([batch.length], Int32Array.from(batch, (digit) => labels[digit])), numClasses: CLASSES,
        losses: [{count: {}}], optimizer: {adam: {learningRate: 1e-3}},
      });
      step = result.nextStep;
      loss += result.loss * batch.length / training.length;
      correct += result.correct;
    }

    // A digit's class is the one whose output neuron fires most.
    const forward = await call(networks, 'Forward', {
      network, step, input: float32([STEPS, test.length, pixels], currents(images, pixels, test, STEPS))});
    ({nextStep: step} = await call(networks, 'ResetNet', {network, step: forward.nextStep}));
    const counts = new Int32Array(test.length * CLASSES);
    forward.output.data.forEach((spike, i) => counts[i % counts.length] += spike);
    const right = test.filter((digit, b) => {
      const scores = counts.subarray(b * CLASSES, (b + 1) * CLASSES);
      return scores.indexOf(Math.max(...scores)) === labels[digit];
    });
    accuracy = (100 * right.length / test.length).toFixed(2);
    console.log(`epoch ${epoch}/${epochs}  loss ${loss.toFixed(4)}  ` +
                `training ${(100 * correct / training.length).toFixed(2)}%  test ${accuracy}%`);
  }
  console.log(`${accuracy}% of ${test.length} held-out digits are classified right`);
  await call(networks, 'DeleteNetwork', {network});
  clients.forEach((client) => client.close());
}

main(process.argv[2], Number(process.argv[3] || 60)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
