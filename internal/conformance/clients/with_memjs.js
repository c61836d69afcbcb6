// What npm's memjs does: the binary protocol. Arguments: three host:port.
'use strict';
const { Client } = require('memjs');

const servers = process.argv.slice(2, 5);
const options = { timeout: 10, conntimeout: 10, retries: 0 };
const [one, two, three] = servers.map((s) => Client.create(s, options));
const spread = Client.create([...new Set(servers)].join(','), options);

function check(name, condition) {
  console.log((condition ? 'ok ' : 'not ok ') + name);
}

async function text(client, key) { // the value, or null
  const { value } = await client.get(key);
  return value === null ? null : value.toString();
}

function fails(promise) {
  return promise.then(() => false, () => true);
}

async function gone(key) { // whether an item that lives one second expires
  for (const end = Date.now() + 10000; Date.now() < end;) {
    if (await text(three, key) === null) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

async function main() {
  check('flush', Object.values(await new Promise((done) => one.flush((err, results) => done(results)))).every((r) => r === true));
  check('set', await one.set('k', 'v', {}) === true && await text(two, 'k') === 'v');
  check('add', await two.add('k', 'w', {}) === false && await two.add('new', 'w', {}) === true);
  check('replace', await three.replace('none', 'x', {}) === false && await three.replace('k', 'x', {}) === true && await text(one, 'k') === 'x');
  check('append', await one.append('k', '>') === true && await fails(one.append('none', '>')));
  // Its prepend sends the operation of append.
  check('prepend', await two.prepend('k', '<') === true && ['<x>', 'x><'].includes(await text(three, 'k')));
  check('increment', (await one.increment('n', 1, { initial: 41 })).value === 41 && (await two.increment('n', 1, {})).value === 42);
  check('decrement', (await three.decrement('n', 50, {})).value === 0);
  check('increment of text', await fails(one.increment('k', 1, {})));
  check('touch', await one.touch('k', 100) === true && await one.touch('none', 100) === false);
  check('expires', await one.set('short', 'v', { expires: 1 }) && await gone('short'));
  check('delete', await two.delete('n') === true && await two.delete('n') === false && await text(one, 'n') === null);
  const keys = Array.from({ length: 200 }, (_, i) => 'key' + i);
  await Promise.all(keys.map((key) => one.set(key, key, {})));
  const got = await Promise.all(keys.map((key) => text(two, key)));
  check('many at a time', got.every((value, i) => value === keys[i]));
  await Promise.all(keys.map((key) => spread.set(key, key + '!', {})));
  check('hashed over the servers', (await Promise.all(keys.map((key) => text(three, key)))).every((value, i) => value === keys[i] + '!'));
  const large = Buffer.alloc(1024 * 1024 - 1024, 'x');
  check('large value', await one.set('large', large, {}) === true && (await two.get('large')).value.equals(large));
  check('too large a value', await fails(one.set('large', Buffer.alloc(1024 * 1024 + 1024), {})));
  check('after too large a value', await one.set('k', 'v', {}) === true && await text(two, 'k') === 'v');
  check('empty value', await one.set('empty', '', {}) === true && await text(two, 'empty') === '');
  const odd = Buffer.from([0, 13, 10, 255]);
  check('buffer', await one.set('b', odd, {}) && (await two.get('b')).value.equals(odd));
  const stats = await new Promise((done) => one.stats((err, server, values) => done(values)));
  check('stats', stats.version.startsWith('1.6.'));
  check('flush of all', await new Promise((done) => two.flush((err) => done(!err))) && await text(three, 'k') === null);
  [one, two, three, spread].forEach((client) => client.close());
}

main().then(() => process.exit(0), (err) => { console.log('not ok: ' + err.stack); process.exit(1); });
