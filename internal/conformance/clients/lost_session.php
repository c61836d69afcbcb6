<?php
// For each line of its input writes 100 sessions, each in one attempt, and prints how many it could.
// Arguments: default or failover, and host:port of each server.

ini_set('session.save_handler', 'memcached');
ini_set('session.save_path', implode(',', array_slice($argv, 2)));
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
ini_set('memcached.sess_connect_timeout', '10000');
if ($argv[1] === 'failover') {
    ini_set('memcached.sess_remove_failed_servers', '1');
    ini_set('memcached.sess_server_failure_limit', '1');
    ini_set('memcached.sess_consistent_hash', '1');
}
$warned = false;
set_error_handler(function () use (&$warned) { $warned = true; return true; });
ob_start(); // a session begins before there is output
while (fgets(STDIN) !== false) {
    $stored = 0;
    for ($i = 0; $i < 100; $i++) {
        $warned = false;
        session_id("session$i");
        $ok = session_start();
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
        $stored += $ok && session_write_close() && !$warned ? 1 : 0;
        session_abort();
    }
    fwrite(STDOUT, "stored $stored\n");
}
