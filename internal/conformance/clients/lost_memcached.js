// For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
// Arguments: default or failover, and host:port of each server.
'use strict';
const Memcached = require('memcached');
const readline = require('readline');

const [mode, ...servers] = process.argv.slice(2);
const options = mode === 'failover' ? { remove: true, failures: 0, retries: 0, timeout: 10000 } : { timeout: 10000 };
const client = new Memcached(servers, options);

async function main() {
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    let stored = 0;
    for (let i = 0; i < 100; i++) {
      stored += await new Promise((resolve) => client.set('key' + i, 'v', 0, (err, ok) => resolve(!err && ok === true))) ? 1 : 0;
    }
    console.log('stored ' + stored);
  }
  client.end();
}

main();
