// A TCP proxy that can go silent, refuse, or cut: a network between Velvet and its Redis, or a router in front of web.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/**
 * open: forwards · silent: every byte is held back, both ways, as where packets get lost; a new connection is taken and hears
 * nothing · refusing: what is open is cut and the port is closed · cutting: takes every connection and resets it at once.
 */
export type ProxyMode = 'open' | 'silent' | 'refusing' | 'cutting';

export interface TcpProxy {
  readonly port: number;
  mode(mode: ProxyMode): Promise<void>;
  /** Cuts what is open, once. */
  cut(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  upstream: Socket | null;
}

/** Forwards to the first of `ports` that takes the connection; they are asked for anew with each one. */
export async function startTcpProxy(ports: () => readonly number[]): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  let mode: ProxyMode = 'open';
  let server = await listening(0, accept);
  const { port } = server.address() as AddressInfo;

  function accept(client: Socket): void {
    if (mode === 'cutting') return void client.resetAndDestroy();
    const pair: Pair = { client, upstream: null };
    pairs.add(pair);
    client.on('error', () => undefined);
    client.once('close', () => {
      pairs.delete(pair);
      pair.upstream?.destroy();
    });
    client.pause();
    if (mode === 'open') open(pair);
  }

  function open(pair: Pair): void {
    reach(ports(), (upstream) => {
      if (upstream === null || !pairs.has(pair)) {
        upstream?.destroy();
        pair.client.destroy();
        return;
      }
      pair.upstream = upstream;
      upstream.on('error', () => undefined);
      upstream.once('close', () => pair.client.destroy());
      flow(pair);
      if (mode === 'silent') hold(pair);
    });
  }

  return {
    port,
    async mode(next) {
      if (next === mode) return;
      const before = mode;
      mode = next;
      if (next === 'silent') return pairs.forEach(hold);
      if (next === 'refusing' || next === 'cutting') cutAll(pairs);
      if (next === 'refusing') return closed(server);
      if (before === 'refusing') server = await listening(port, accept);
      if (before === 'silent') pairs.forEach((pair) => (pair.upstream === null ? open(pair) : flow(pair)));
    },
    cut: () => cutAll(pairs),
    async close() {
      cutAll(pairs);
      await closed(server);
    },
  };
}

function flow({ client, upstream }: Pair): void {
  if (upstream === null) return;
  client.pipe(upstream);
  upstream.pipe(client);
}

function hold({ client, upstream }: Pair): void {
  client.unpipe().pause();
  upstream?.unpipe().pause();
}

function cutAll(pairs: ReadonlySet<Pair>): void {
  for (const { client, upstream } of pairs) {
    upstream?.destroy();
    client.resetAndDestroy();
  }
}

function reach(ports: readonly number[], then: (socket: Socket | null) => void): void {
  const [first, ...others] = ports;
  if (first === undefined) return then(null);
  const socket = connect(first, '127.0.0.1');
  const failed = () => reach(others, then);
  socket.once('error', failed);
  socket.once('connect', () => {
    socket.removeListener('error', failed);
    then(socket);
  });
}

async function listening(port: number, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer(accept);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

async function closed(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
