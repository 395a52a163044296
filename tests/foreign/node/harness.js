// What the tests share: the server, the RPCs, tensors, and the golden cases.
'use strict';
const assert = require('node:assert');
const childProcess = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const {readNpz} = require('./npz.js');

const REPOSITORY = path.resolve(__dirname, '../../..');
const GOLDEN = path.join(REPOSITORY, 'tests/golden');

const definitions = protoLoader.loadSync(
    ['functions', 'networks', 'rich_error', 'server', 'streams', 'training'].map((name) => `spikeserve/v1/${name}.proto`),
    {includeDirs: [path.join(REPOSITORY, 'proto')], enums: String, longs: Number, keepCase: true, defaults: true});
const {SpikeFunctionService, SpikeNetworkService, SpikeServerService, SpikeStreamService, SpikeTrainingService} =
    grpc.loadPackageDefinition(definitions).spikeserve.v1;

// Starts the server on a free port: its address, and how to end it as an orchestrator would.
async function startServer(binary) {
  const server = childProcess.spawn(binary, ['--listen=127.0.0.1:0'], {stdio: ['ignore', 'pipe', 'inherit']});
  const exited = new Promise((resolve) => server.on('exit', (code, signal) => resolve(code ?? signal)));
  process.on('exit', () => server.kill('SIGKILL'));
  const announced = 'spikeserve listening on ';
  const line = await Promise.race([
    new Promise((resolve) => readline.createInterface(server.stdout).once('line', resolve)),
    exited.then((code) => `exit ${code}`),
  ]);
  assert(line.startsWith(announced), `the server said '${line}', not where it listens`);
  return {
    address: line.slice(announced.length),
    async stop() {
      server.kill('SIGTERM');
      assert.strictEqual(await exited, 0, 'the exit code after SIGTERM');
    },
  };
}

// The RPCs of all services as functions `request => promise of the response`, streams as functions
// `requests => promise of the responses`, with `open()`, which gives the stream itself; `called` has the names of those
// called.
function connect(address) {
  const call = {};
  const called = new Set();
  const clients = [];
  const services =
      [SpikeFunctionService, SpikeNetworkService, SpikeServerService, SpikeStreamService, SpikeTrainingService];
  for (const Service of services) {
    const client = new Service(address, grpc.credentials.createInsecure());
    clients.push(client);
    for (const [rpc, {requestStream}] of Object.entries(Service.service)) {
      const open = () => {
        called.add(rpc);
        return client[rpc]({deadline: Date.now() + 60000});
      };
      call[rpc] = requestStream ? (requests) => new Promise((resolve, reject) => {
        const stream = open();
        const responses = [];
        stream.on('data', (response) => responses.push(response));
        stream.on('error', reject);
        stream.on('end', () => resolve(responses));
        requests.forEach((request) => stream.write(request));
        stream.end();
      }) : (request) => new Promise((resolve, reject) => {
        called.add(rpc);
        client[rpc](request, {deadline: Date.now() + 60000}, (error, response) => error ? reject(error) : resolve(response));
      });
      if (requestStream) call[rpc].open = open;
    }
  }
  return {call, called, close: () => clients.forEach((client) => client.close())};
}

const DTYPES = {
  b1: 'DATA_TYPE_BOOL', u1: 'DATA_TYPE_UINT8', i4: 'DATA_TYPE_INT32', i8: 'DATA_TYPE_INT64', f4: 'DATA_TYPE_FLOAT32',
  f8: 'DATA_TYPE_FLOAT64',
};

// An array as a tensor of its own dtype, in the form `data`.
function tensor({dtype, shape, data}) {
  return {dtype: DTYPES[dtype], shape, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength)};
}

const scalar = (value) => tensor({dtype: 'f4', shape: [], data: Float32Array.of(value)});

// A 0/1 array as a tensor of eight elements a byte.
function bitTensor({shape, data}) {
  const width = shape.at(-1);
  const rowBytes = Math.ceil(width / 8);
  const bytes = Buffer.alloc(width === 0 ? 0 : rowBytes * data.length / width);
  data.forEach((value, i) => {
    const column = i % width;
    if (value) bytes[Math.floor(i / width) * rowBytes + (column >> 3)] |= 1 << (column & 7);
  });
  return {dtype: 'DATA_TYPE_BIT', shape, data: bytes};
}

// A 0/1 array as a tensor of the distances between its ones.
function eventTensor({shape, data}, dtype) {
  const events = [...data.keys()].filter((i) => data[i]);
  return {dtype, shape, event_deltas: events.map((event, i) => event - (i ? events[i - 1] : 0))};
}

// The elements of a response's tensor, as plain numbers.
function elements({dtype, shape, data}) {
  const count = shape.reduce((product, length) => product * length, 1);
  if (dtype === 'DATA_TYPE_BIT') {
    const width = shape.at(-1);
    const rowBytes = Math.ceil(width / 8);
    return Array.from({length: count}, (_, i) => {
      const column = i % width;
      return data[Math.floor(i / width) * rowBytes + (column >> 3)] >> (column & 7) & 1;
    });
  }
  const [, read, size] = {
    DATA_TYPE_BOOL: [, 'readUInt8', 1], DATA_TYPE_UINT8: [, 'readUInt8', 1], DATA_TYPE_INT32: [, 'readInt32LE', 4],
    DATA_TYPE_FLOAT32: [, 'readFloatLE', 4], DATA_TYPE_FLOAT64: [, 'readDoubleLE', 8],
  }[dtype];
  assert.strictEqual(data.length, count * size, `bytes of a tensor ${dtype} [${shape}]`);
  return Array.from({length: count}, (_, i) => data[read](i * size));
}

const numbers = (array) => Array.from(array.data, Number);

function assertSame(response, expected) {
  assert.deepStrictEqual(response.shape, expected.shape);
  assert.deepStrictEqual(elements(response), numbers(expected));
}

function assertClose(got, expected, {rtol = 1e-5, atol = 1e-6} = {}) {
  assert.strictEqual(got.length, expected.length);
  got.forEach((value, i) => {
    assert(Math.abs(value - expected[i]) <= atol + rtol * Math.abs(expected[i]), `[${i}] ${value}, not ${expected[i]}`);
  });
}

// The error of `got` is at most twice the reference's own, or 1e-6 relative.
function assertAsAccurate(got, reference, exact) {
  assert.strictEqual(got.length, exact.length);
  const largest = (values) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const errorOf = (values) => largest(exact.map((value, i) => values[i] - value));
  const bound = Math.max(2 * errorOf(reference), 1e-6 * largest(exact));
  assert(errorOf(got) <= bound, `error ${errorOf(got)} is more than ${bound}`);
}

// The gradients of x and y that the kernel's definition has, for the error of those that are rounded to float32.
function kernelVjpInFloat64({kernel, d, alpha, sigma}, x, y, gradOutput) {
  const [[rows, columns], [yRows]] = [x.shape, y.shape];
  const [xs, ys, weights] = [x, y, gradOutput].map(numbers);
  const gradX = xs.map(() => 0), gradY = ys.map(() => 0);
  for (let i = 0; i < rows; ++i) {
    for (let j = 0; j < yRows; ++j) {
      let product = 0, distance = 0;
      for (let k = 0; k < columns; ++k) {
        const a = xs[i * columns + k], b = ys[j * columns + k];
        product += a * b;
        distance += (a - b) ** 2;
      }
      const sigmoid = 1 / (1 + Math.exp(-alpha * product));
      const weight = weights[i * yRows + j] * {
        linear: 1, polynomial: d * product ** (d - 1), sigmoid: alpha * sigmoid * (1 - sigmoid),
        gaussian: Math.exp(-distance / (2 * sigma ** 2)) / sigma ** 2,
      }[kernel];
      for (let k = 0; k < columns; ++k) {
        const a = xs[i * columns + k], b = ys[j * columns + k];
        gradX[i * columns + k] += weight * (kernel === 'gaussian' ? b - a : b);
        gradY[j * columns + k] += weight * (kernel === 'gaussian' ? a - b : a);
      }
    }
  }
  return [gradX, gradY];
}

// The call fails with INVALID_ARGUMENT, and its message and its rich error name the field.
async function assertRefused(promise, field) {
  const error = await promise.then(() => assert.fail(`the call succeeded, but its ${field} is wrong`), (e) => e);
  assert.strictEqual(error.code, grpc.status.INVALID_ARGUMENT, error.message);
  assert(error.details.includes(field), `'${error.details}' does not name ${field}`);
  const [trailer] = error.metadata.get('grpc-status-details-bin');
  assert(trailer, `no details came with '${error.details}'`);
  const read = (type, bytes) => definitions[`spikeserve.v1.${type}`].deserialize(bytes);
  const status = read('RichStatus', trailer);
  assert.deepStrictEqual([status.code, status.message], [error.code, error.details]);
  assert.strictEqual(status.details[0].type_url, 'type.googleapis.com/google.rpc.BadRequest');
  const [violation] = read('BadRequest', status.details[0].value).field_violations;
  assert(violation.field.includes(field) && violation.description, JSON.stringify(violation));
}

// The golden cases of a function: name, params, and the arrays of inputs and outputs.
function golden(name) {
  const {cases} = JSON.parse(fs.readFileSync(path.join(GOLDEN, 'manifest.json'), 'utf8'));
  const members = readNpz(path.join(GOLDEN, `${name}.npz`));
  // The manifest tells scalars from arrays of one element, the members do not.
  const arrays = (entries) => Object.fromEntries(
      Object.entries(entries).map(([key, {member, shape}]) => [key, {...members[member], shape}]));
  return cases.filter((entry) => entry.function === name).map(({case: name, params, inputs, outputs}) => ({
    name, params, inputs: arrays(inputs), outputs: arrays(outputs),
  }));
}

// Runs the check on each golden case of the function, and says of which case an error is.
async function eachCase(name, check) {
  for (const test of golden(name)) {
    try {
      await check(test);
    } catch (error) {
      error.stack = `${test.name}: ${error.stack}`;
      throw error;
    }
  }
}

// The proto Kernel of a golden case.
function kernel(kind, {d, alpha, sigma}) {
  return {[kind]: {linear: {}, polynomial: {d}, sigmoid: {alpha}, gaussian: {sigma}}[kind]};
}

module.exports = {
  assertAsAccurate, assertClose, assertRefused, assertSame, bitTensor, connect, eachCase, elements, eventTensor, golden,
  kernel, kernelVjpInFloat64, numbers, scalar, startServer, tensor,
};
