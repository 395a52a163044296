// SpikeStreamService: what comes in pieces gives the golden results as well.
'use strict';
const assert = require('node:assert');
const {assertClose, assertSame, eachCase, elements, kernel, numbers, scalar, tensor} = require('./harness.js');

// The array's rows in two pieces.
function pieces({dtype, shape: [rows, ...rest], data}) {
  const width = rest.reduce((product, length) => product * length, 1);
  const cut = Math.floor(rows / 3);
  return [[0, cut], [cut, rows]].map(
      ([begin, end]) => tensor({dtype, shape: [end - begin, ...rest], data: data.slice(begin * width, end * width)}));
}

const opened = (open, requests) => requests.map((request, i) => i ? request : {open, ...request});

module.exports = {
  async 'SpikeCluster of pieces is exact'(call) {
    await eachCase('spike_cluster', async ({inputs, params, outputs}) => {
      const v_threshold = inputs.v_threshold ? tensor(inputs.v_threshold) : scalar(params.v_threshold);
      const [{n_o, k_negative}] = await call.StreamSpikeCluster(
          opened({v_threshold, t_in: params.t_in}, pieces(inputs.v).map((v) => ({v}))));
      assertSame(n_o, outputs.n_o);
      const neurons = outputs.n_o.shape[0];
      const mask = numbers(outputs.k_negative);
      const steps = Array.from({length: neurons}, (_, n) => mask.filter((_, i) => i % neurons === n).indexOf(1));
      assert.deepStrictEqual(elements(k_negative), steps);
    });
  },

  async 'FirstSpikeIndex of pieces is exact'(call) {
    await eachCase('first_spike_index', async ({inputs, outputs}) => {
      if (inputs.spikes.shape.length < 2) return;
      const responses = await call.StreamFirstSpikeIndex(opened({}, pieces(inputs.spikes).map((spikes) => ({spikes}))));
      assert.deepStrictEqual(responses.flatMap(({index}) => elements(index)), numbers(outputs.index));
    });
  },

  async 'KernelDotProduct of pieces'(call) {
    await eachCase('kernel_dot_product', async ({params, inputs, outputs}) => {
      const requests = [...pieces(inputs.y).map((y) => ({y})), ...pieces(inputs.x).map((x) => ({x}))];
      const responses =
          await call.StreamKernelDotProduct(opened({kernel: kernel(params.kernel, params)}, requests));
      assertClose(responses.flatMap(({ret}) => elements(ret)), numbers(outputs.ret));
    });
  },

  async 'SpikeSimilarLoss of one piece and its gradient'(call) {
    await eachCase('spike_similar_loss', async ({params, inputs, outputs}) => {
      if (!outputs.grad_spikes || params.loss_type === 'bce') return;
      const open = {
        labels: tensor(inputs.labels), kernel: kernel(params.kernel_type, params),
        loss_type: `LOSS_TYPE_${params.loss_type.toUpperCase()}`, compute_gradient: true,
      };
      const spikes = tensor(inputs.spikes);
      const [{loss}, {grad_spikes}] = await call.StreamSpikeSimilarLoss(opened(open, [{spikes}, {spikes, again: true}]));
      assertClose([loss], numbers(outputs.loss));
      assertClose(elements(grad_spikes), numbers(outputs.grad_spikes));
    });
  },

  async 'ServerStatistics'(call) {
    const {version, calls_accepted} = await call.ServerStatistics({});
    assert.match(version, /^\d+\.\d+\.\d+$/);
    assert(calls_accepted > 0);
  },
};
