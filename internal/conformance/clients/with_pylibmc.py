"""What pylibmc, and so libmemcached, does. Arguments: text or binary, three host:port."""

import sys
import time

import pylibmc

protocol = sys.argv[1]
servers = sys.argv[2:5]
binary = protocol == "binary"


def client(*addrs, **behaviors):
    return pylibmc.Client(list(addrs), binary=binary, behaviors={"cas": True, "tcp_nodelay": True, **behaviors})


one, two, three = (client(s) for s in servers)
spread = client(*servers, ketama=True)


def check(name, condition):
    print(("ok " if condition else "not ok ") + name, flush=True)


def raises(error, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except error:
        return True
    return False


def refused(f, *args):
    """Whether a change is refused: by False in text, by an exception in binary."""
    try:
        return f(*args) is False
    except pylibmc.Error:
        return True


def gone(key):
    """Whether an item that lives one second expires."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if three.get(key) is None:
            return True
        time.sleep(0.05)
    return False


check("flush_all", one.flush_all() is True)
check("set", one.set("k", "v") is True and two.get("k") == "v")
check("types", all(one.set("t", v) and two.get("t") == v for v in (1, 1 << 40, True, b"bytes", "text", [1, {"a": None}])))
check("add", refused(two.add, "k", "w") and two.add("new", "w") is True)
check("replace", refused(three.replace, "none", "x") and three.replace("k", "x") is True and one.get("k") == "x")
check("append", one.append("k", ">") is True and refused(one.append, "none", ">"))
check("prepend", two.prepend("k", "<") is True and three.get("k") == "<x>")
value, cas = three.gets("k")
check("gets", value == "<x>" and cas > 0)
check("cas", two.cas("k", "w", cas) is True and one.get("k") == "w")
check("cas with an old cas unique", refused(one.cas, "k", "x", cas))
check("cas of nothing", raises(pylibmc.NotFound, one.cas, "none", "x", cas))
check("incr", one.set("n", "41") is True and two.incr("n", 1) == 42 and raises(pylibmc.NotFound, two.incr, "none"))
check("decr", three.decr("n", 50) == 0 and raises(pylibmc.NotFound, three.decr, "none"))
check("incr of text", raises(pylibmc.Error, one.incr, "k"))
check("touch", one.touch("k", 100) is True and refused(one.touch, "none", 100))
check("expires", one.set("short", "v", time=1) is True and gone("short"))
check("delete", two.delete("n") is True and refused(two.delete, "n") and one.get("n") is None)
many = {"key%d" % i: "%d" % i for i in range(200)}
check("set_multi", one.set_multi(many) == [] and two.get_multi(list(many) + ["none"]) == many)
check("prefix", one.set_multi({"a": 1, "b": 2}, key_prefix="p:") == [] and two.get_multi(["a", "b"], key_prefix="p:") == {"a": 1, "b": 2})
check("incr_multi", one.set_multi({"x": 1, "y": 2}) == [] and one.incr_multi(["x", "y"], delta=5) is None and two.get_multi(["x", "y"]) == {"x": 6, "y": 7})
check("delete_multi", one.delete_multi(list(many)) is True and two.get_multi(list(many)) == {})
check("spread over the servers", spread.set_multi(many) == [] and spread.get_multi(list(many)) == many and three.get_multi(list(many)) == many)
large = b"x" * (1024 * 1024 - 1024)
check("large value", one.set("large", large) is True and two.get("large") == large)
check("too large a value", raises(pylibmc.Error, one.set, "large", b"x" * (1024 * 1024 + 1024)))
one.disconnect_all()
check("after too large a value", one.set("k", "v") is True and two.get("k") == "v")
check("compressed", one.set("zip", "z" * 100000, min_compress_len=100) is True and two.get("zip") == "z" * 100000)
check("empty value", one.set("empty", b"") is True and two.get("empty") == b"")
quiet = client(servers[0], no_block=True, buffer_requests=False)
check("not blocking", all(quiet.set("q%d" % i, i) for i in range(50)) and quiet.get_multi(["q%d" % i for i in range(50)]) == {"q%d" % i: i for i in range(50)})
check("stats", one.get_stats()[0][1]["version"].startswith(b"1.6."))
check("flush_all of all", two.flush_all() is True and three.get("zip") is None)
