// What only GitHub can open: a value sealed to the public key of the place that it is for.
import sodium, { ready } from 'libsodium-wrappers';
import type { Secret } from '../../../shared/lib/secret.ts';

const KEY_BYTES = 32;

/** The bytes of a public key as GitHub writes it, in standard base64; null where it is none. */
export function publicKeyBytes(key: string): Uint8Array | null {
  const bytes = Buffer.from(key, 'base64');
  return bytes.length === KEY_BYTES && bytes.toString('base64') === key ? bytes : null;
}

/** The sealed box of the value in UTF-8, in standard base64: libsodium's own default is the URL-safe one, which GitHub refuses. */
export async function sealed(secret: Secret, publicKey: Uint8Array): Promise<string> {
  // The functions are there once it is ready, and on the default export alone.
  await ready;
  const box = sodium.crypto_box_seal(secret.reveal(), publicKey);
  return Buffer.from(box).toString('base64');
}
