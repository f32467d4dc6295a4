# An app in Python behind the middleware of docs/consumer-proof.md: `python3 server.py <file of the middleware>`. Prints its port.
import os
import runpy
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

VelvetProof = runpy.run_path(sys.argv[1])["VelvetProof"]


def current():
    with open(os.environ["TOKEN_FILE"], encoding="utf-8") as file:
        return file.read()


at_start = current()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


token = (lambda: at_start) if os.environ.get("STALE") == "1" else current
proven = VelvetProof(app, token=token, probe_key=os.environ.get("PROBE_KEY"))
server = make_server("127.0.0.1", 0, proven, handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
