#!/usr/bin/python3
"""internet.py ADDRESS CERTIFICATE KEY FOLDER: plays what a node asks of the internet while it installs k3s online.

| asked                                                         | answered                                       | from |
|---------------------------------------------------------------|------------------------------------------------|------|
| https://get.k3s.io/                                           | FOLDER/get-k3s-io.sh                           | k3s' quick start |
| https://github.com/k3s-io/k3s/releases/download/V/k3s         | FOLDER/k3s                                     | install.sh, download_binary |
| https://github.com/k3s-io/k3s/releases/download/V/sha256sum-amd64.txt | its sum, as the releases have it       | install.sh, download_hash |
| anything else                                                 | 404                                            | |

Each request is a line on stdout, with the host that was asked for.
"""

import hashlib, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

address, certificate, key, folder = sys.argv[1:]


def content(name):
    with open(f'{folder}/{name}', 'rb') as file:
        return file.read()


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        host, path = self.headers.get('Host', ''), self.path
        release = host == 'github.com' and path.startswith('/k3s-io/k3s/releases/download/')
        body = None
        if host == 'get.k3s.io' and path == '/':
            body = content('get-k3s-io.sh')
        elif release and path.endswith('/k3s'):
            body = content('k3s')
        elif release and path.endswith('/sha256sum-amd64.txt'):
            body = f'{hashlib.sha256(content("k3s")).hexdigest()}  k3s\n'.encode()
        print(f'{host}{path} {200 if body else 404}', flush=True)
        self.send_response(200 if body else 404)
        self.send_header('Content-Length', str(len(body or b'')))
        self.end_headers()
        self.wfile.write(body or b'')


server = ThreadingHTTPServer((address, 443), Answers)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
