// Where a request comes from, for counting. Law: only what the router itself says is believed; a client can write the rest of the header.
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { isIPv6 } from 'node:net';

/** The client's address, of IPv6 its network: whoever has one has 2^64 of them. `unknown` where there is no socket. */
export function clientAddress(context: Context, behindRouter: boolean): string {
  // Heroku's router appends the address that it saw; what stands before it came from outside.
  const forwarded = context.req.header('x-forwarded-for')?.split(',').at(-1)?.trim();
  const socket = (context.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress;
  const address = behindRouter ? (forwarded ?? socket) : socket;
  return address === undefined || address === '' ? 'unknown' : networkOf(address);
}

function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  // The URL parser writes every form of an address the same way, without an IPv4 part.
  const [head = '', tail] = new URL(`http://[${plain}]`).hostname.slice(1, -1).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  const groups = tail === undefined ? before : [...before, ...zeros, ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
