<?php
// For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
// Arguments: default or failover, and host:port of each server.

$m = new Memcached();
if ($argv[1] === 'failover') {
    $m->setOption(Memcached::OPT_LIBKETAMA_COMPATIBLE, true);
    $m->setOption(Memcached::OPT_REMOVE_FAILED_SERVERS, true);
    $m->setOption(Memcached::OPT_SERVER_FAILURE_LIMIT, 1);
    $m->setOption(Memcached::OPT_RETRY_TIMEOUT, 600);
}
foreach (array_slice($argv, 2) as $address) {
    [$host, $port] = explode(':', $address);
    $m->addServer($host, (int)$port);
}
while (fgets(STDIN) !== false) {
    $stored = 0;
    for ($i = 0; $i < 100; $i++) {
        $stored += $m->set("key$i", 'v') ? 1 : 0;
    }
    echo "stored $stored\n";
}
