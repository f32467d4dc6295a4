// Sealed boxes: what one party alone can open. GitHub for its secrets, the stage worker for what an operator types. Law: whoever seals cannot read.
import sodium, { ready } from 'libsodium-wrappers';
import { Secret } from './secret.ts';

const KEY_BYTES = 32;

/** The bytes of a public key in standard base64, as GitHub writes it; null where it is none. */
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

/** A typed value on its way to the stage worker. The job's name goes in with it: copied to another job, the box says so. */
export function sealedFor(jobId: string, value: Secret, publicKey: Uint8Array): Promise<string> {
  return sealed(new Secret(JSON.stringify([jobId, value.reveal()])), publicKey);
}

/** Null where it was sealed to another key or for another job, or is no box at all. */
export async function openedFor(jobId: string, box: string, privateKey: Uint8Array): Promise<Secret | null> {
  await ready;
  const publicKey = sodium.crypto_scalarmult_base(privateKey);
  try {
    const text = sodium.crypto_box_seal_open(Buffer.from(box, 'base64'), publicKey, privateKey, 'text');
    const parts: unknown = JSON.parse(text);
    if (!Array.isArray(parts) || parts[0] !== jobId || typeof parts[1] !== 'string') return null;
    return new Secret(parts[1]);
  } catch {
    // Neither library's message is worth the risk that it quotes what was inside.
    return null;
  }
}
