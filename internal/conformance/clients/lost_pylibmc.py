"""Stores 100 keys with servers of which one is dead, each in up to three attempts.
Arguments: default or failover, and host:port of each. Prints how many were stored."""
import sys

import pylibmc

behaviors = {"ketama": True, "remove_failed": 1, "failure_limit": 1} if sys.argv[1] == "failover" else {}
client = pylibmc.Client(sys.argv[2:], behaviors=behaviors)


def stores(key):
    try:
        return client.set(key, "v")
    except pylibmc.Error:
        return False


print("stored", sum(1 for i in range(100) if any(stores("key%d" % i) for _ in range(3))))
