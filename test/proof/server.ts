// An app in Node behind the middleware of docs/consumer-proof.md: `node server.ts <file of the middleware>`. Prints its port.
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
interface Shown {
  readonly velvetProof: (options: { token: () => string; probeKey: string | undefined }) => Middleware;
}

const { TOKEN_FILE = '', STALE, PROBE_KEY } = process.env;
const { velvetProof } = (await import(pathToFileURL(process.argv[2] ?? '').href)) as Shown;
const current = () => readFileSync(TOKEN_FILE, 'utf8');
const atStart = current();
const proof = velvetProof({ token: STALE === '1' ? () => atStart : current, probeKey: PROBE_KEY });

const server = createServer((request, response) => {
  proof(request, response, () => response.writeHead(200, { 'content-type': 'text/plain' }).end('well'));
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
