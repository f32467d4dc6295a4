# An app in Ruby behind the middleware of docs/consumer-proof.md: `ruby server.rb <file of the middleware>`. Prints its port.
require "socket"
load ARGV.fetch(0)

current = -> { File.read(ENV.fetch("TOKEN_FILE")) }
at_start = current.call
app = ->(_env) { [200, { "content-type" => "text/plain" }, ["well"]] }
token = ENV["STALE"] == "1" ? -> { at_start } : current
proven = VelvetProof.new(app, token: token, probe_key: ENV["PROBE_KEY"])

# What Rack's servers do with a request, without one of them: nothing here is installed beside Ruby.
server = TCPServer.new("127.0.0.1", 0)
puts server.addr[1]
$stdout.flush
loop do
  client = server.accept
  first = client.gets
  # A connection that was opened in advance and not used.
  next client.close if first.nil?

  env = { "REQUEST_METHOD" => first.split(" ").first }
  while (line = client.gets&.chomp) && !line.empty?
    name, value = line.split(": ", 2)
    env["HTTP_" + name.upcase.tr("-", "_")] = value
  end
  status, headers, body = proven.call(env)
  lines = headers.map { |name, value| "#{name}: #{value}\r\n" }
  client.write("HTTP/1.1 #{status} OK\r\n", *lines, "connection: close\r\n\r\n", *body)
  client.close
end
