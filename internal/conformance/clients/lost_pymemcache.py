"""For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
Arguments: default or failover, and host:port of each server."""
import sys

from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError

servers = [(a.split(":")[0], int(a.split(":")[1])) for a in sys.argv[2:]]
options = {"retry_attempts": 0} if sys.argv[1] == "failover" else {}
client = HashClient(servers, connect_timeout=10, timeout=30, default_noreply=False, **options)


def stores(key):
    try:
        return client.set(key, "v")
    except (OSError, MemcacheError):  # the latter if a connection ends
        return False


for _ in iter(sys.stdin.readline, ""):
    print("stored", sum(1 for i in range(100) if stores("key%d" % i)), flush=True)
