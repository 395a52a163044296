// SpikeNetworkService against the golden cases, and its rules on state.
'use strict';
const assert = require('node:assert');
const grpc = require('@grpc/grpc-js');
const {neuron, withNetwork} = require('./network_testing.js');
const {assertClose, assertRefused, assertSame, eachCase, elements, numbers, scalar, tensor} = require('./harness.js');

const zeros = (...shape) => tensor({dtype: 'f4', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1))});

module.exports = {
  async 'neurons spike as the reference does, and again after a reset'(call) {
    await eachCase('neuron', ({params, inputs, outputs}) => withNetwork(call, [neuron(params)], async (network) => {
      const request = {
        network, input: tensor(inputs.dv), records: [{layer: 'neuron', v_before_reset: true, v_after_reset: true}],
      };
      const first = await call.Forward(request);
      assertSame(first.output, outputs.spikes);
      assertClose(elements(first.records[0].v_after_reset), numbers(outputs.v_after_step), {rtol: 1e-6, atol: 1e-7});
      const {monitors} = await call.GetNetwork({network, include_monitors: true});
      assert.deepStrictEqual(monitors[0].v_before_reset, first.records[0].v_before_reset);
      await call.ResetNet({network});
      const second = await call.Forward(request);
      assert.deepStrictEqual([second.output, second.records], [first.output, first.records]);
    }));
  },

  async 'low-pass synapse'(call) {
    await eachCase('low_pass_synapse', ({params, inputs, outputs}) => {
      const [steps, features] = inputs.in_spikes.shape;
      return withNetwork(call, [{low_pass_synapse: params}], async (network) => {
        const {output} = await call.Forward({network, input: tensor({...inputs.in_spikes, shape: [steps, 1, features]})});
        assertClose(elements(output), numbers(outputs.out_i), {rtol: 1e-6, atol: 1e-7});
      });
    });
  },

  async 'threshold margin of a network'(call) {
    await eachCase('set_threshold_margin', ({params: {training, ...params}, inputs, outputs}) =>
      withNetwork(call, [{name: 'output', if_node: {}}], async (network) => {
        await call.SetTraining({network, training});
        const {v_threshold} = await call.SetThresholdMargin(
            {network, layer: 'output', label_one_hot: tensor(inputs.label_one_hot), ...params});
        assertSame(v_threshold, outputs.v_threshold);
        const state = await call.GetNetwork({network});
        assert.strictEqual(state.training, training);
        const node = state.layers[0].if_node;
        assertSame(training ? node.v_threshold_tensor : scalar(node.v_threshold), outputs.v_threshold);
      }));
  },

  async 'a repeated step changes nothing and a wrong one is refused'(call) {
    await withNetwork(call, [{lif_node: {tau: 2}}], async (network) => {
      const step = (number) => call.Forward({network, input: zeros(1, 2, 2), step: number});
      const first = await step(0);
      assert.strictEqual(first.next_step, 1);
      assert.deepStrictEqual(await step(0), first);
      assert.strictEqual((await step(1)).next_step, 2);
      await assert.rejects(step(7), {code: grpc.status.FAILED_PRECONDITION});
      await assertRefused(call.Forward({network, input: zeros(1, 3, 2)}), 'input');
    });
  },

  async 'a stream of steps is the forward of all of them'(call) {
    const layers = [{low_pass_synapse: {tau: 3}}, {name: 'output', lif_node: {tau: 2}}];
    const input = (begin, end) => tensor({
      dtype: 'f4', shape: [end - begin, 2, 1],
      data: Float32Array.from({length: 2 * (end - begin)}, (_, i) => Math.sin(2 * begin + i) + 0.5),
    });
    const records = [{layer: 'output', v_after_reset: true}];
    let whole;
    await withNetwork(call, layers, async (network) => {
      whole = await call.Forward({network, input: input(0, 9), records});
    });
    await withNetwork(call, layers, async (network) => {
      const cuts = [0, 1, 4, 4, 9];
      const requests = cuts.slice(1).map((end, i) => ({input: input(cuts[i], end)}));
      Object.assign(requests[0], {open: {network, records}, reset: true});
      for (const time of [1, 2]) {
        const responses = await call.Run(requests);
        assert.deepStrictEqual(responses.map(({next_step}) => next_step), [3, 2, 1, 0].map((left) => 4 * time - left));
        assert.deepStrictEqual(responses.flatMap(({output}) => elements(output)), elements(whole.output));
        assert.deepStrictEqual(
            responses.flatMap(({records: [record]}) => elements(record.v_after_reset)),
            elements(whole.records[0].v_after_reset));
      }
    });
  },

  async 'a stream answers each step before the next one is sent'(call) {
    await withNetwork(call, [{if_node: {}}], async (network) => {
      const stream = call.Run.open();
      const responses = stream[Symbol.asyncIterator]();
      const half = tensor({dtype: 'f4', shape: [1, 1], data: Float32Array.of(0.5)});
      const answered = [];
      for (let step = 0; step < 4; ++step) {
        // A step that depends on what the last one came to.
        const request = {reset: answered.at(-1) === 1, input: half, step};
        stream.write(step ? request : {open: {network, single_step: true}, ...request});
        answered.push(...elements((await responses.next()).value.output));
      }
      stream.end();
      assert((await responses.next()).done);
      assert.deepStrictEqual(answered, [0, 1, 0, 1]);
    });
  },

  async 'a stream on a network that is gone or wrong is refused'(call) {
    let first;
    await withNetwork(call, [{if_node: {}}], async (network) => {
      first = {open: {network}, input: zeros(1, 1, 1)};
      await assertRefused(call.Run([{input: zeros(1, 1, 1)}]), 'open');
      await assertRefused(call.Run([first, first]), 'open');
      await assertRefused(call.Run([first, {input: zeros(1, 1, 2)}]), 'input');
    });
    await assert.rejects(call.Run([first]), {code: grpc.status.NOT_FOUND});
  },

  async 'deleted networks are gone'(call) {
    let deleted;
    const held = async () => (await call.ListNetworks({})).networks.map((entry) => entry.network);
    await withNetwork(call, [{if_node: {}}], async (network) => {
      deleted = network;
      assert((await held()).includes(network));
    });
    assert(!(await held()).includes(deleted));
    await assert.rejects(call.GetNetwork({network: deleted}), {code: grpc.status.NOT_FOUND});
  },
};
