"""Stores 100 keys with servers of which one is dead, each in up to three attempts.
Arguments: default or failover, and host:port of each. Prints how many were stored."""
import sys

from pymemcache.client.hash import HashClient

servers = [(a.split(":")[0], int(a.split(":")[1])) for a in sys.argv[2:]]
options = {"retry_attempts": 0} if sys.argv[1] == "failover" else {}
client = HashClient(servers, connect_timeout=10, timeout=30, default_noreply=False, **options)


def stores(key):
    try:
        return client.set(key, "v")
    except OSError:
        return False


print("stored", sum(1 for i in range(100) if any(stores("key%d" % i) for _ in range(3))))
