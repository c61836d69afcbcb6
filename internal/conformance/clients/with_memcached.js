// What npm's memcached does: classic text commands. Arguments: three host:port.
'use strict';
const Memcached = require('memcached');

const servers = process.argv.slice(2, 5);
const options = { timeout: 10000, retries: 2, failures: 100, maxValue: 4 << 20 };
const [one, two, three] = servers.map((s) => new Memcached(s, options));
const spread = new Memcached([...new Set(servers)], options);

// call returns what a method hands to its callback, or the error.
function call(client, method, ...args) {
  return new Promise((resolve) => client[method](...args, (err, result) => resolve(err || result)));
}

function check(name, condition) {
  console.log((condition ? 'ok ' : 'not ok ') + name);
}

async function gone(key) { // whether an item that lives one second expires
  for (const end = Date.now() + 10000; Date.now() < end;) {
    if (await call(three, 'get', key) === undefined) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

async function main() {
  check('flush', (await call(one, 'flush')).every((r) => r === true));
  check('set', await call(one, 'set', 'k', 'v', 0) === true && await call(two, 'get', 'k') === 'v');
  check('types', await call(one, 'set', 'o', { a: [1] }, 0) && (await call(two, 'get', 'o')).a[0] === 1
    && await call(one, 'set', 'i', 12, 0) && await call(two, 'get', 'i') === 12);
  check('add', (await call(two, 'add', 'k', 'w', 0)).notStored && await call(two, 'add', 'new', 'w', 0) === true);
  check('replace', (await call(three, 'replace', 'none', 'x', 0)).notStored && await call(three, 'replace', 'k', 'x', 0) === true);
  check('append', await call(one, 'append', 'k', '>') === true && (await call(one, 'append', 'none', '>')).notStored);
  check('prepend', await call(two, 'prepend', 'k', '<') === true && await call(three, 'get', 'k') === '<x>');
  const { k, cas } = await call(three, 'gets', 'k');
  check('gets', k === '<x>' && Number(cas) > 0);
  check('cas', await call(two, 'cas', 'k', 'w', cas, 0) === true && await call(one, 'get', 'k') === 'w');
  check('cas with an old cas unique', await call(one, 'cas', 'k', 'x', cas, 0) === false);
  check('incr', await call(one, 'set', 'n', 41, 0) && await call(two, 'incr', 'n', 1) === 42 && await call(two, 'incr', 'none', 1) === false);
  check('decr', await call(three, 'decr', 'n', 50) === 0 && await call(three, 'decr', 'none', 1) === false);
  check('incr of text', (await call(one, 'incr', 'k', 1)) instanceof Error);
  check('touch', await call(one, 'touch', 'k', 100) === true && await call(one, 'touch', 'none', 100) === false);
  check('expires', await call(one, 'set', 'short', 'v', 1) && await gone('short'));
  check('del', await call(two, 'del', 'n') === true && await call(two, 'del', 'n') === false && await call(one, 'get', 'n') === undefined);
  const keys = Array.from({ length: 200 }, (_, i) => 'key' + i);
  await Promise.all(keys.map((key) => call(one, 'set', key, 'value of ' + key, 0)));
  const got = await call(two, 'getMulti', [...keys, 'none']);
  check('getMulti', Object.keys(got).length === 200 && keys.every((key) => got[key] === 'value of ' + key));
  await Promise.all(keys.map((key) => call(spread, 'set', key, key, 0)));
  check('hashed over the servers', Object.keys(await call(spread, 'getMulti', keys)).length === 200
    && await call(one, 'get', 'key7') === 'key7');
  const large = 'x'.repeat(1024 * 1024 - 1024);
  check('large value', await call(one, 'set', 'large', large, 0) === true && await call(two, 'get', 'large') === large);
  // It takes a SERVER_ERROR for the end of the server: a client of its own.
  check('too large a value', await call(new Memcached(servers[0], options), 'set', 'large', 'x'.repeat(1024 * 1024 + 1024), 0) !== true);
  check('after too large a value', await call(one, 'set', 'k', 'v', 0) === true && await call(two, 'get', 'k') === 'v');
  check('empty value', await call(one, 'set', 'empty', '', 0) === true && await call(two, 'get', 'empty') === '');
  check('buffer', await call(one, 'set', 'b', Buffer.from([0, 13, 10, 255]), 0) && (await call(two, 'get', 'b')).equals(Buffer.from([0, 13, 10, 255])));
  check('stats', (await call(one, 'stats'))[0].version.startsWith('1.6.'));
  check('settings', 'maxbytes' in (await call(one, 'settings'))[0]);
  check('version', (await call(one, 'version'))[0].version.startsWith('1.6.'));
  check('flush of all', (await call(two, 'flush')).every((r) => r === true) && await call(three, 'get', 'k') === undefined);
  [one, two, three, spread].forEach((client) => client.end());
}

main().then(() => process.exit(0), (err) => { console.log('not ok: ' + err.stack); process.exit(1); });
