# Stores 100 keys with servers of which one is dead, each in two attempts. Arguments:
# default, and host:port of each. Prints how many were stored.
use strict;
use warnings;
use Cache::Memcached::Fast;

shift @ARGV;
my $client = Cache::Memcached::Fast->new({ servers => \@ARGV, connect_timeout => 10, io_timeout => 10 });
my $stored = grep { $client->set("key$_", "v") || $client->set("key$_", "v") } 0 .. 99;
print "stored $stored\n";
