// SpikeTrainingService against the golden gradients, and training by a loss of the caller's own.
'use strict';
const assert = require('node:assert');
const grpc = require('@grpc/grpc-js');
const {neuron, withNetwork} = require('./network_testing.js');
const {assertClose, assertRefused, eachCase, elements, numbers, tensor} = require('./harness.js');

const STEPS = 5, BATCH = 6, FEATURES = 4, CLASSES = 2;

const floats = (shape, at) => tensor({
  dtype: 'f4', shape, data: Float32Array.from({length: shape.reduce((a, b) => a * b, 1)}, (_, i) => at(i)),
});
// Something irregular.
const wave = (i) => Math.sin(1.7 * i * i + i);

const layers = [
  {name: 'fc', linear: {weight: floats([CLASSES, FEATURES], wave), bias: floats([CLASSES], () => 0.3)}},
  {name: 'out', lif_node: {tau: 2}},
];
// The first feature tells the classes apart.
const labels = tensor({dtype: 'i4', shape: [BATCH], data: Int32Array.from({length: BATCH}, (_, b) => b % CLASSES)});
const input = floats([STEPS, BATCH, FEATURES], (i) => {
  const sample = Math.floor(i / FEATURES) % BATCH;
  return i % FEATURES === 0 ? 2 * (sample % CLASSES ? 1 : -1) : wave(i);
});
const optimizer = {sgd: {learning_rate: 1, momentum: 0, weight_decay: 0}};
const trainRequest = (network) => ({network, input, labels, num_classes: CLASSES, losses: [{rate: {}}], optimizer});

async function parameters(call, network) {
  const {layers: [{linear}]} = await call.GetNetwork({network});
  return [elements(linear.weight), elements(linear.bias)];
}

// The gradient of the mean squared error of firing rates.
function rateGradient(output) {
  const spikes = elements(output);
  const size = BATCH * CLASSES;
  const rates = Array.from({length: size}, (_, i) => {
    let count = 0;
    for (let t = 0; t < STEPS; ++t) count += spikes[t * size + i];
    return count / STEPS;
  });
  return floats([STEPS, BATCH, CLASSES], (i) => {
    const neuron = i % size;
    const wanted = neuron % CLASSES === Math.floor(neuron / CLASSES) % CLASSES ? 1 : 0;
    return 2 * (rates[neuron] - wanted) / (size * STEPS);
  });
}

module.exports = {
  async 'gradients of neurons are the reference\'s'(call) {
    let learnt = 0;
    await eachCase('neuron', ({params, inputs, outputs}) => withNetwork(call, [neuron(params)], async (network) => {
      await call.Forward({network, input: tensor(inputs.dv), keep_trace: true});
      const {grad_input, gradients} = await call.Backward({
        network, grad_output: tensor(inputs.grad_spikes), compute_grad_input: true, include_gradients: true,
      });
      assert.deepStrictEqual(grad_input.shape, outputs.grad_dv.shape);
      const wanted = numbers(outputs.grad_dv);
      const largest = wanted.reduce((most, g) => Math.max(most, Math.abs(g)), 1);
      assertClose(elements(grad_input), wanted, {rtol: 0, atol: 1e-5 * largest});
      for (const name of ['grad_tau', 'grad_g']) {
        if (!outputs[name]) continue;
        ++learnt;
        assertClose(elements(gradients[0].values), numbers(outputs[name]), {rtol: 1e-5, atol: 1e-5});
      }
    }));
    assert(learnt >= 10);
  },

  async 'training steps are those of the gradients, and the network learns'(call) {
    await withNetwork(call, layers, (whole) => withNetwork(call, layers, async (inParts) => {
      const losses = [];
      for (let step = 0; step < 20; ++step) {
        const {loss, next_step} = await call.TrainStep({...trainRequest(whole), step});
        assert.strictEqual(next_step, step + 1);
        losses.push(loss);
        // The same by a loss of one's own.
        const before = await parameters(call, inParts);
        const {output} = await call.Forward({network: inParts, input, keep_trace: true});
        await call.ZeroGradients({network: inParts});
        const {gradients} =
            await call.Backward({network: inParts, grad_output: rateGradient(output), include_gradients: true});
        await call.ApplyGradients({network: inParts, optimizer});
        await call.ResetNet({network: inParts});
        const after = await parameters(call, inParts);
        before.forEach((values, p) => {
          const grads = elements(gradients[p].values);
          assert.deepStrictEqual(after[p], values.map((value, i) => Math.fround(value - grads[i])));
        });
        const trained = await parameters(call, whole);
        trained.forEach((values, p) => assertClose(values, after[p], {rtol: 0, atol: 1e-5}));
      }
      assert(losses.at(-1) < losses[0] / 2, `${losses}`);
    }));
  },

  async 'a training step is made once, however often it is sent'(call) {
    await withNetwork(call, layers, async (network) => {
      const first = await call.TrainStep({...trainRequest(network), step: 0});
      const after = await parameters(call, network);
      assert.deepStrictEqual(await call.TrainStep({...trainRequest(network), step: 0}), first);
      assert.deepStrictEqual(await parameters(call, network), after);
      await assert.rejects(
          call.TrainStep({...trainRequest(network), step: 7}), {code: grpc.status.FAILED_PRECONDITION});
    });
  },

  async 'bad training is refused by the name of its field'(call) {
    await withNetwork(call, layers, async (network) => {
      await assertRefused(call.TrainStep({...trainRequest(network), losses: []}), 'losses');
      await assertRefused(
          call.TrainStep({...trainRequest(network), losses: [{weight: Infinity, rate: {}}]}), 'losses[0].weight');
      await assert.rejects(call.Backward({network}), {code: grpc.status.FAILED_PRECONDITION});
      await assertRefused(call.ApplyGradients({network, optimizer: {adam: {beta1: 2}}}), 'optimizer.adam.beta1');
    });
  },
};
