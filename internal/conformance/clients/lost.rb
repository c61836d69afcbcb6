# For each line of its input stores 100 keys, each in one attempt, and prints how many it could.
# Arguments: default or off, and host:port of each server.
require 'dalli'
require 'logger'

mode, *servers = ARGV
Dalli.logger = Logger.new(File::NULL)
client = Dalli::Client.new(servers, { socket_timeout: 10 }.merge(mode == 'off' ? { failover: false } : {}))
$stdout.sync = true
$stdin.each_line do
  stored = (0...100).count do |i|
    client.set("key#{i}", 'v')
  rescue Dalli::DalliError
    false
  end
  puts "stored #{stored}"
end
