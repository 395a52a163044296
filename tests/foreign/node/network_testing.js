// What the tests of networks and of their training share.
'use strict';

// The layer of a golden case of neurons.
function neuron({type, v_reset, surrogate, alpha, beta, a, b, c, ...params}) {
  const node = {
    ...params, soft_reset: v_reset === null, monitor: true,
    surrogate: {[surrogate]: {sigmoid: {alpha}, sign_swish: {beta}, bilinear_leaky_relu: {a, b, c}}[surrogate]},
  };
  if (v_reset !== null) node.v_reset = v_reset;
  return {name: 'neuron', [`${type}_node`]: node};
}

// Runs the check on a new network of the layers, which is deleted afterwards.
async function withNetwork(call, layers, check) {
  const {network} = await call.CreateNetwork({layers});
  try {
    await check(network);
  } finally {
    await call.DeleteNetwork({network});
  }
}

module.exports = {neuron, withNetwork};
