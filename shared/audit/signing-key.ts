// The Ed25519 key that seals are signed with. Law: whose signature counts is told by the stage worker's own key and by the vault, never by Redis.
import { createHash, createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';

export interface SigningKey {
  /** The first 16 hex digits of the public key's SHA-256: names the key in each seal. */
  readonly id: string;
  /** SPKI in DER, base64: what the vault's anchor pins. */
  readonly publicKey: string;
  /** base64url, 86 characters. */
  sign(text: string): string;
}

/** Whether `signature` is the named key's over `text`; false too for a key that is not known here. */
export type Keyring = (keyId: string, text: string, signature: string) => boolean;

// RFC 8410: what stands before the 32 bytes of the seed in PKCS #8.
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');
// So that no signature of this key can ever be taken for one of something else.
const domain = 'velvet-audit/1\n';

/** From the 32 bytes of VELVET_AUDIT_SIGNING_KEY: Ed25519 takes any as its seed. */
export function signingKey(seed: Buffer): SigningKey {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    id: idOf(spki),
    publicKey: spki.toString('base64'),
    sign: (text) => sign(null, Buffer.from(domain + text), key).toString('base64url'),
  };
}

/** The worker's own key, and those that the vault has pinned: seals of a key that was replaced stay good. */
export function keyring(own: SigningKey, pinned: readonly string[]): Keyring {
  return publicKeyring([own.publicKey, ...pinned]);
}

/** Of public keys alone, each SPKI in DER, base64. Throws where one is no such key. */
export function publicKeyring(publicKeys: readonly string[]): Keyring {
  const keys = new Map<string, KeyObject>();
  for (const publicKey of publicKeys) {
    const spki = Buffer.from(publicKey, 'base64');
    keys.set(idOf(spki), createPublicKey({ key: spki, format: 'der', type: 'spki' }));
  }
  return (keyId, text, signature) => {
    const key = keys.get(keyId);
    return (
      key !== undefined && verify(null, Buffer.from(domain + text), key, Buffer.from(signature, 'base64url'))
    );
  };
}

function idOf(spki: Buffer): string {
  return createHash('sha256').update(spki).digest('hex').slice(0, 16);
}
