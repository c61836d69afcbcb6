# What Perl's Cache::Memcached::Fast does: classic text commands. Arguments: three
# host:port.
use strict;
use warnings;
use Cache::Memcached::Fast;

$| = 1;
my @servers = @ARGV;
my @options = (connect_timeout => 10, io_timeout => 10, nowait => 0, ketama_points => 150, utf8 => 1);
my ($one, $two, $three) = map { Cache::Memcached::Fast->new({ servers => [$_], @options }) } @servers;
my $all = Cache::Memcached::Fast->new({ servers => \@servers, @options });

sub check { my ($name, $condition) = @_; print $condition ? "ok $name\n" : "not ok $name\n"; }
sub is { my ($got, $want) = @_; return defined $got && $got eq $want; }

sub gone {    # whether an item that lives one second expires
    my ($key) = @_;
    for (1 .. 200) {
        return 1 unless defined $three->get($key);
        select(undef, undef, undef, 0.05);
    }
    return 0;
}

check("flush_all", $one->flush_all->{$servers[0]});
check("set", $one->set("k", "v") && is($two->get("k"), "v"));
check("utf8", $one->set("\x{263a}", "\x{263a}") && is($two->get("\x{263a}"), "\x{263a}"));
check("structure", $one->set("ref", { a => [1, 2] }) && $two->get("ref")->{a}[1] == 2);
check("add", !$two->add("k", "w") && $two->add("new", "w"));
check("replace", !$three->replace("none", "x") && $three->replace("k", "x") && is($one->get("k"), "x"));
check("append", $one->append("k", ">") && !$one->append("none", ">"));
check("prepend", $two->prepend("k", "<") && is($three->get("k"), "<x>"));
my $pair = $three->gets("k");
check("gets", $pair && $pair->[0] > 0 && $pair->[1] eq "<x>");
check("cas", $two->cas("k", $pair->[0], "w") && is($one->get("k"), "w"));
my $again = $one->cas("k", $pair->[0], "x");
check("cas with an old cas unique", defined $again && !$again);
check("incr", $one->set("n", 41) && $two->incr("n", 1) == 42 && !$two->incr("none", 1));
check("decr", is($three->decr("n", 50) + 0, 0) && !$three->decr("none", 1));
check("incr of text", !$one->incr("k", 1));
check("touch", $one->touch("k", 100) && !$one->touch("none", 100));
check("gat", is($one->gat(100, "k"), "w") && !defined $one->gat(100, "none"));
check("gats", $one->gats(100, "k")->[1] eq "w");
check("gat_multi", $one->gat_multi(100, "k", "new", "none")->{new} eq "w");
check("expired at once", $one->set("past", "v", -1) && !defined $two->get("past"));
check("expires", $one->set("short", "v", 1) && gone("short"));
check("delete", $two->delete("n") && !$two->delete("n") && !defined $one->get("n"));
my %many = map { ("key$_" => "value$_") } 0 .. 199;
$one->set_multi(map { [$_, $many{$_}] } keys %many);
my $got = $two->get_multi(keys %many, "none");
check("set_multi, get_multi", keys %$got == 200 && !grep { $got->{$_} ne $many{$_} } keys %many);
check("gets_multi", keys %{ $three->gets_multi(keys %many) } == 200);
$one->delete_multi(keys %many);
check("delete_multi", keys %{ $two->get_multi(keys %many) } == 0);
$all->set_multi(map { [$_, $many{$_}] } keys %many);
check("hashed over the servers", keys %{ $all->get_multi(keys %many) } == 200 && keys %{ $one->get_multi(keys %many) } == 200);
my $large = "x" x (1024 * 1024 - 1024);
check("large value", $one->set("large", $large) && is($two->get("large"), $large));
check("too large a value", !$one->set("large", "x" x (1024 * 1024 + 1024), 0));
check("after too large a value", $one->set("k", "v") && is($two->get("k"), "v"));
check("empty value", $one->set("empty", "") && is($two->get("empty"), ""));
my $quiet = Cache::Memcached::Fast->new({ servers => [$servers[0]], @options, nowait => 1 });
$quiet->set("q$_", $_) for 0 .. 99;
check("nowait", is($quiet->get("q99"), 99) && keys %{ $quiet->get_multi(map { "q$_" } 0 .. 99) } == 100);
check("server_versions", $one->server_versions->{$servers[0]} =~ /^1\.6\./);
check("flush_all of all", $two->flush_all && !defined $three->get("k"));
