"""For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
Arguments: default or failover, and host:port of each server."""
import sys

import pylibmc

behaviors = {"ketama": True, "remove_failed": 1, "failure_limit": 1, "retry_timeout": 600} if sys.argv[1] == "failover" else {}
client = pylibmc.Client(sys.argv[2:], behaviors=behaviors)


def stores(key):
    try:
        return client.set(key, "v")
    except pylibmc.Error:
        return False


for _ in iter(sys.stdin.readline, ""):
    print("stored", sum(1 for i in range(100) if stores("key%d" % i)), flush=True)
