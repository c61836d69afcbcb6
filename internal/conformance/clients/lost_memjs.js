// For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
// Arguments: default or failover, and host:port of each server.
'use strict';
const memjs = require('memjs');
const readline = require('readline');

const [mode, ...servers] = process.argv.slice(2);
const patient = { timeout: 10, conntimeout: 10, logger: { log() {} } };
const options = mode === 'failover' ? { ...patient, failover: true, failoverTime: 10, retries: 0 } : patient;
const client = memjs.Client.create(servers.join(','), options);

async function main() {
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    let stored = 0;
    for (let i = 0; i < 100; i++) {
      try {
        stored += await client.set('key' + i, 'v', {}) ? 1 : 0;
      } catch (err) {} // it counts as not stored
    }
    console.log('stored ' + stored);
  }
  client.close();
}

main();
