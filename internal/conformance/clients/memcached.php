<?php
// What PHP's Memcached, and so libmemcached, does. Arguments: text or binary, three
// host:port.

$protocol = $argv[1];
$servers = array_map(fn($a) => explode(':', $a), array_slice($argv, 2, 3));

function client(string $protocol, array ...$servers): Memcached
{
    $m = new Memcached();
    $m->setOption(Memcached::OPT_BINARY_PROTOCOL, $protocol === 'binary');
    $m->setOption(Memcached::OPT_TCP_NODELAY, true);
    foreach ($servers as [$host, $port]) {
        $m->addServer($host, (int)$port);
    }
    return $m;
}

function check(string $name, bool $condition): void
{
    echo $condition ? "ok $name\n" : "not ok $name\n";
}

[$one, $two, $three] = array_map(fn($s) => client($protocol, $s), $servers);
$spread = client($protocol, ...$servers);
$spread->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);

function gone(Memcached $m, string $key): bool // whether an item that lives one second expires
{
    for ($i = 0; $i < 200; $i++) {
        if ($m->get($key) === false) {
            return $m->getResultCode() === Memcached::RES_NOTFOUND;
        }
        usleep(50000);
    }
    return false;
}

check('flush', $one->flush());
check('set', $one->set('k', 'v') && $two->get('k') === 'v');
check('types', $one->setMulti(['i' => 1, 'f' => 1.5, 'b' => true, 'a' => ['x' => null]])
    && $two->getMulti(['i', 'f', 'b', 'a']) === ['i' => 1, 'f' => 1.5, 'b' => true, 'a' => ['x' => null]]);
$refused = $protocol === 'binary' ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED;
check('add', !$two->add('k', 'w') && $two->getResultCode() === $refused && $two->add('new', 'w'));
check('replace', !$three->replace('none', 'x') && $three->replace('k', 'x') && $one->get('k') === 'x');
$plain = client($protocol, $servers[0]);
$plain->setOption(Memcached::OPT_COMPRESSION, false);
check('append', $plain->append('k', '>') && !$plain->append('none', '>'));
check('prepend', $plain->prepend('k', '<') && $three->get('k') === '<x>');
$got = $three->get('k', null, Memcached::GET_EXTENDED);
check('gets', $got['value'] === '<x>' && $got['cas'] > 0);
check('cas', $two->cas($got['cas'], 'k', 'w') && $one->get('k') === 'w');
check('cas with an old cas unique', !$one->cas($got['cas'], 'k', 'x') && $one->getResultCode() === Memcached::RES_DATA_EXISTS);
check('cas of nothing', !$one->cas($got['cas'], 'none', 'x') && $one->getResultCode() === Memcached::RES_NOTFOUND);
check('increment', $one->set('n', 41) && $two->increment('n') === 42 && $two->increment('none') === false);
check('decrement', $three->decrement('n', 50) === 0 && $three->decrement('none') === false);
check('increment of text', $one->increment('k') === false);
if ($protocol === 'binary') {
    check('increment with an initial value', $one->increment('counter', 1, 10, 100) === 10 && $two->increment('counter', 1, 10, 100) === 11);
    check('decrement with an initial value', $one->decrement('down', 1, 10, 100) === 10 && $two->decrement('down', 3, 10, 100) === 7);
}
check('touch', $one->touch('k', 100) && !$one->touch('none', 100) && $one->getResultCode() === Memcached::RES_NOTFOUND);
check('expired at once', $one->set('past', 'v', time() - 100) && $two->get('past') === false);
check('expires', $one->set('short', 'v', 1) && gone($three, 'short'));
check('delete', $two->delete('n') && !$two->delete('n') && $one->get('n') === false);
$many = [];
for ($i = 0; $i < 200; $i++) {
    $many["key$i"] = "value$i";
}
check('setMulti', $one->setMulti($many) && $two->getMulti(array_keys($many)) === $many);
check('getMulti in order', array_keys($two->getMulti(['key2', 'none', 'key1'], Memcached::GET_PRESERVE_ORDER)) === ['key2', 'none', 'key1']);
check('getDelayed', $two->getDelayed(array_keys($many), true) && count($two->fetchAll()) === 200);
check('deleteMulti', count(array_filter($one->deleteMulti(array_keys($many)), fn($r) => $r === true)) === 200 && $two->getMulti(array_keys($many)) === []);
$spread->setMulti($many);
check('spread over the servers', count($spread->getMulti(array_keys($many))) === 200 && count($three->getMulti(array_keys($many))) === 200);
$large = random_bytes(1024 * 1024 - 1024);
check('large value', $plain->set('large', $large) && $two->get('large') === $large);
check('too large a value', !$plain->set('large', random_bytes(1024 * 1024 + 1024)) && $plain->getResultCode() === Memcached::RES_E2BIG);
$one->quit();
check('after too large a value', $one->set('k', 'v') && $two->get('k') === 'v');
check('empty value', $one->set('empty', '') && $two->get('empty') === '');
$quiet = client($protocol, $servers[0]);
$quiet->setOption(Memcached::OPT_NOREPLY, true);
for ($i = 0; $i < 100; $i++) {
    $quiet->set("q$i", $i);
}
check('noreply', $quiet->get('q99') === 99 && count($quiet->getMulti(array_map(fn($i) => "q$i", range(0, 99)))) === 100);
$buffered = client($protocol, $servers[0]);
$buffered->setOption(Memcached::OPT_BUFFER_WRITES, true);
for ($i = 0; $i < 100; $i++) {
    $buffered->set("w$i", $i);
}
check('buffered writes', $buffered->get('w99') === 99);
check('getStats', str_starts_with(array_values($one->getStats())[0]['version'], '1.6.'));
check('getStats settings', isset(array_values($one->getStats('settings'))[0]['maxbytes']));
check('getVersion', str_starts_with(array_values($one->getVersion())[0], '1.6.'));
check('flush of all', $two->flush() && $three->get('k') === false);
