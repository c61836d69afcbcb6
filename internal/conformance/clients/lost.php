<?php
// Stores 100 keys with servers of which one is dead, each in up to three attempts.
// Arguments: default or failover, and host:port of each. Prints how many were stored.

$m = new Memcached();
if ($argv[1] === 'failover') {
    $m->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);
    $m->setOption(Memcached::OPT_REMOVE_FAILED_SERVERS, true);
    $m->setOption(Memcached::OPT_SERVER_FAILURE_LIMIT, 1);
}
foreach (array_slice($argv, 2) as $address) {
    [$host, $port] = explode(':', $address);
    $m->addServer($host, (int)$port);
}
$stored = 0;
for ($i = 0; $i < 100; $i++) {
    $stored += $m->set("key$i", 'v') || $m->set("key$i", 'v') || $m->set("key$i", 'v') ? 1 : 0;
}
echo "stored $stored\n";
