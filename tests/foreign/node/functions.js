// SpikeFunctionService against the golden cases.
'use strict';
const assert = require('node:assert');
const h = require('./harness.js');
const {assertClose, assertSame, eachCase, elements, golden, kernel, numbers, scalar, tensor} = h;

const threshold = ({inputs, params}) => inputs.v_threshold ? tensor(inputs.v_threshold) : scalar(params.v_threshold);

const clusterRequest = (test) => ({v: tensor(test.inputs.v), v_threshold: threshold(test), t_in: test.params.t_in});

module.exports = {
  async 'SpikeCluster is exact'(call) {
    await eachCase('spike_cluster', async (test) => {
      for (const mask_dtype of ['DATA_TYPE_BOOL', 'DATA_TYPE_BIT']) {
        const response = await call.SpikeCluster({...clusterRequest(test), mask_dtype});
        for (const output of ['n_o', 'k_positive', 'k_negative']) assertSame(response[output], test.outputs[output]);
      }
    });
  },

  async 'StcaLoss and its gradient'(call) {
    await eachCase('spike_cluster', async (test) => {
      const response =
          await call.StcaLoss({...clusterRequest(test), n_d: tensor(test.inputs.n_d), compute_gradient: true});
      assertSame(response.n_o, test.outputs.n_o);
      assertSame(response.grad_v, test.outputs.stca_grad_at_step);
      assertClose([response.loss], numbers(test.outputs.stca_loss_at_step));
    });
  },

  async 'KernelDotProduct'(call) {
    await eachCase('kernel_dot_product', async ({params, inputs, outputs}) => {
      const {ret} = await call.KernelDotProduct(
          {x: tensor(inputs.x), y: tensor(inputs.y), kernel: kernel(params.kernel, params)});
      assert.deepStrictEqual(ret.shape, outputs.ret.shape);
      const binary = [...numbers(inputs.x), ...numbers(inputs.y)].every((value) => value === 0 || value === 1);
      if (params.kernel === 'linear' && binary) assertSame(ret, outputs.ret);
      assertClose(elements(ret), numbers(outputs.ret));
    });
  },

  async 'KernelDotProductVjp'(call) {
    let compared = 0;
    await eachCase('kernel_dot_product', async ({params, inputs: {x, y, grad_output}, outputs}) => {
      if (!outputs.grad_x) return;
      const request = {x: tensor(x), kernel: kernel(params.kernel, params), grad_output: tensor(grad_output)};
      const {grad_x, grad_y} = await call.KernelDotProductVjp({...request, y: tensor(y)});
      const [exactX, exactY] = h.kernelVjpInFloat64(params, x, y, grad_output);
      assert.deepStrictEqual([grad_x.shape, grad_y.shape], [outputs.grad_x.shape, outputs.grad_y.shape]);
      h.assertAsAccurate(elements(grad_x), numbers(outputs.grad_x), exactX);
      h.assertAsAccurate(elements(grad_y), numbers(outputs.grad_y), exactY);
      const ofX = await call.KernelDotProductVjp(request);
      const [first, second] = h.kernelVjpInFloat64(params, x, x, grad_output);
      const exact = first.map((value, i) => value + second[i]);
      h.assertAsAccurate(elements(ofX.grad_x), exact.map(Math.fround), exact);
      assert.strictEqual(ofX.grad_y, null);
      ++compared;
    });
    assert.strictEqual(compared, 28);
  },

  async 'SpikeSimilarLoss and its gradient'(call) {
    await eachCase('spike_similar_loss', async ({params, inputs, outputs}) => {
      const reply = call.SpikeSimilarLoss({
        spikes: tensor(inputs.spikes), labels: tensor(inputs.labels), kernel: kernel(params.kernel_type, params),
        loss_type: `LOSS_TYPE_${params.loss_type.toUpperCase()}`, compute_gradient: true,
      });
      // What the reference refuses only for its own rounding is computed, what lies outside [0, 1] is refused.
      if (!outputs.loss && params.kernel_type === 'polynomial') return h.assertRefused(reply, 'loss_type');
      const {loss, grad_spikes} = await reply;
      assert.deepStrictEqual(grad_spikes.shape, inputs.spikes.shape);
      assert(Number.isFinite(loss) && elements(grad_spikes).every(Number.isFinite));
      if (outputs.loss) assertClose([loss], numbers(outputs.loss));
      if (!outputs.grad_spikes) return;
      // A sample without a label has an infinite slope at its similarity of 1 to itself in the cross entropy; the
      // reference's gradient loses its other terms there.
      const [samples, classes] = inputs.labels.shape;
      const rowOf = (i, array) => Math.floor(i * samples / array.length);
      const labels = numbers(inputs.labels);
      const compared = (_, i, array) => params.loss_type !== 'bce' ||
          labels.slice(rowOf(i, array) * classes, (rowOf(i, array) + 1) * classes).includes(1);
      assertClose(elements(grad_spikes).filter(compared), numbers(outputs.grad_spikes).filter(compared));
    });
  },

  async 'RedundantOneHot is exact'(call) {
    await eachCase('redundant_one_hot', async ({params, inputs, outputs}) => {
      const {codes} =
          await call.RedundantOneHot({labels: tensor(inputs.labels), num_classes: params.num_classes, n: params.n});
      assertSame(codes, outputs.codes);
    });
  },

  async 'FirstSpikeIndex is exact, as a mask and as steps'(call) {
    await eachCase('first_spike_index', async ({inputs, outputs}) => {
      const spikes = tensor(inputs.spikes);
      assertSame((await call.FirstSpikeIndex({spikes})).index, outputs.index);
      const steps = outputs.index.shape.at(-1);
      const mask = numbers(outputs.index);
      const rows = Array.from({length: mask.length / steps}, (_, row) => mask.slice(row * steps, (row + 1) * steps));
      const {index} = await call.FirstSpikeIndex({spikes, index_output: true});
      assert.deepStrictEqual(elements(index), rows.map((row) => row.indexOf(1)));
    });
  },

  async 'spikes come in every form'(call) {
    const {inputs, outputs} = golden('first_spike_index').find(({name}) => name === 'random_4');
    const {shape} = inputs.spikes;
    for (const spikes of [
           h.bitTensor(inputs.spikes),
           h.eventTensor(inputs.spikes, 'DATA_TYPE_BIT'),
           h.eventTensor(inputs.spikes, 'DATA_TYPE_BOOL'),
           {dtype: 'DATA_TYPE_INT32', shape, values: numbers(inputs.spikes)},
           tensor({dtype: 'u1', shape, data: Uint8Array.from(inputs.spikes.data)}),
           tensor({dtype: 'f8', shape, data: Float64Array.from(inputs.spikes.data)}),
    ]) {
      assertSame((await call.FirstSpikeIndex({spikes})).index, outputs.index);
    }
  },

  async 'ThresholdMargin is exact'(call) {
    await eachCase('set_threshold_margin', async ({params, inputs, outputs}) => {
      const {v_threshold} = await call.ThresholdMargin({label_one_hot: tensor(inputs.label_one_hot), ...params});
      assertSame(v_threshold, outputs.v_threshold);
    });
  },
};
