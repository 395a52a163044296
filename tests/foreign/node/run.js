// Calls every RPC of spikeserve from Node.js.
//   node run.js ADDRESS            tests a running server
//   node run.js PATH/spikeserve    starts this server, tests it, and ends it with SIGTERM
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const {connect, startServer} = require('./harness.js');

const suites = Object.assign(
    {}, ...['functions', 'networks', 'training', 'streams', 'errors'].map((name) => require(`./${name}.js`)));

async function main([target]) {
  assert(target, 'needs the address of a server, or the path of the server');
  const server = fs.existsSync(target) ? await startServer(target) : {address: target, stop: async () => {}};
  const {call, called, close} = connect(server.address);
  const failed = [];
  for (const [name, test] of Object.entries(suites)) {
    try {
      await test(call);
      console.log(`passed: ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED: ${name}\n${error.stack}`);
    }
  }
  const neverCalled = Object.keys(call).filter((rpc) => !called.has(rpc));
  close();
  await server.stop();
  assert.deepStrictEqual(neverCalled, [], 'every RPC is called');
  console.log(`${Object.keys(suites).length - failed.length} passed, ${failed.length} failed`);
  return failed.length === 0;
}

main(process.argv.slice(2)).then((passed) => process.exit(passed ? 0 : 1), (error) => {
  console.log(error.stack);
  process.exit(1);
});
