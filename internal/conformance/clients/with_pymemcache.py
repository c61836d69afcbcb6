"""What pymemcache does: classic text commands. Arguments: three host:port."""

import sys
import time

from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError

servers = [(a.split(":")[0], int(a.split(":")[1])) for a in sys.argv[1:4]]
one, two, three = (Client(s, timeout=10, default_noreply=False) for s in servers)
pool = HashClient(servers, timeout=10, default_noreply=False)


def check(name, condition):
    print(("ok " if condition else "not ok ") + name, flush=True)


def gone(key):
    """Whether an item that lives one second expires."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if three.get(key) is None:
            return True
        time.sleep(0.05)
    return False


check("flush_all", one.flush_all() is True)
check("set", one.set("k", b"v") is True and two.get("k") == b"v")
check("set with flags", one.set("flags", b"v", flags=16) is True and three.get("flags") == b"v")
check("add", two.add("k", b"w") is False and two.add("new", b"w") is True)
check("replace", three.replace("none", b"x") is False and three.replace("k", b"x") is True and one.get("k") == b"x")
check("append", one.append("k", b">") is True and one.append("none", b">") is False)
check("prepend", two.prepend("k", b"<") is True and three.get("k") == b"<x>")
value, cas = three.gets("k")
check("gets", value == b"<x>" and cas is not None)
check("cas", two.cas("k", b"w", cas) is True and one.get("k") == b"w")
check("cas with an old cas unique", one.cas("k", b"x", cas) is False)
check("cas of nothing", one.cas("none", b"x", cas) is None)
check("incr", one.set("n", b"41") is True and two.incr("n", 1) == 42 and two.incr("none", 1) is None)
check("decr", three.decr("n", 50) == 0 and three.decr("none", 1) is None)
try:
    one.incr("k", 1)
    check("incr of text", False)
except MemcacheClientError:
    check("incr of text", True)
check("touch", one.touch("k", 100) is True and one.touch("none", 100) is False)
check("touch into the past", two.touch("flags", -1) is True and one.get("flags") is None)
check("expired at once", one.set("k", b"v", expire=-1) is True and two.get("k") is None)
check("expires", one.set("short", b"v", expire=1) is True and gone("short"))
check("delete", two.delete("n") is True and two.delete("n") is False and one.get("n") is None)
many = {"key%d" % i: b"%d" % i for i in range(200)}
check("set_many", one.set_many(many) == [] and two.get_many(list(many) + ["none"]) == many)
check("gets_many", {k: v for k, (v, _) in three.gets_many(list(many)).items()} == many)
check("delete_many", one.delete_many(list(many)) is True and two.get_many(list(many)) == {})
check("hashed over the servers", pool.set_many(many) == [] and pool.get_many(list(many)) == many and three.get_many(list(many)) == many)
large = b"x" * (1024 * 1024 - 1024)
check("large value", one.set("large", large) is True and two.get("large") == large)
try:
    one.set("large", b"x" * (1024 * 1024 + 1024))
    check("too large a value", False)
except Exception as e:  # what it raises differs between its versions
    check("too large a value", "too large" in str(e))
one.close()
check("empty value", one.set("empty", b"") is True and two.get("empty") == b"")
check("binary value", one.set("bytes", bytes(range(256))) is True and two.get("bytes") == bytes(range(256)))
check("noreply", one.set("quiet", b"q", noreply=True) is True and one.get("quiet") == b"q")
check("noreply incr", one.set("n", b"1", noreply=True) is True and one.incr("n", 1, noreply=True) is None and one.get("n") == b"2")
check("stats", all(s.stats()[b"version"].startswith(b"1.6.") for s in (one, two, three)))
check("stats settings", b"maxbytes" in one.stats("settings"))
check("version", one.version().startswith(b"1.6."))
check("flush_all of all", two.flush_all() is True and three.get("bytes") is None and one.get_many(list(many)) == {})
