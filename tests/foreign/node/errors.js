// Bad input is refused by the name of its field.
'use strict';
const {assertRefused, kernel, scalar, tensor} = require('./harness.js');

const floats = (shape, ...data) => tensor({dtype: 'f4', shape, data: Float32Array.from(data)});

module.exports = {
  async 'bad input is refused by the name of its field'(call) {
    const cluster = {v: floats([2, 1], 0, 1), v_threshold: scalar(1), t_in: 1};
    await assertRefused(call.SpikeCluster({...cluster, v: undefined}), 'v');
    await assertRefused(call.SpikeCluster({...cluster, v: {...cluster.v, shape: [2, 2]}}), 'v');
    await assertRefused(call.SpikeCluster({...cluster, v: floats([2, 1], 0, NaN)}), 'v');
    await assertRefused(call.SpikeCluster({...cluster, v_threshold: floats([2], 1, 1)}), 'v_threshold');
    await assertRefused(call.SpikeCluster({...cluster, t_in: -1}), 't_in');
    await assertRefused(call.KernelDotProduct({x: floats([1, 1], 1), kernel: kernel('gaussian', {sigma: 0})}), 'sigma');
    await assertRefused(call.KernelDotProduct({x: floats([1, 1], 1)}), 'kernel');
    await assertRefused(call.FirstSpikeIndex({spikes: floats([2], 0, 2)}), 'spikes');
    await assertRefused(call.CreateNetwork({layers: []}), 'layers');
  },
};
