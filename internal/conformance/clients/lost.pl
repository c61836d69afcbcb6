# For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
# Arguments: default, and host:port of each server.
use strict;
use warnings;
use Cache::Memcached::Fast;

shift @ARGV;
my $client = Cache::Memcached::Fast->new({ servers => [@ARGV], connect_timeout => 10, io_timeout => 10 });
$| = 1;
while (<STDIN>) {
    my $stored = grep { $client->set("key$_", "v") } 0 .. 99;
    print "stored $stored\n";
}
