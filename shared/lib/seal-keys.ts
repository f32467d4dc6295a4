// The pair of keys for what operators type: made, and told whether it is one. Apart from the boxes themselves, whose library takes a moment to load.
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';

export interface SealKeys {
  /** 32 bytes in base64. */
  readonly publicKey: string;
  readonly privateKey: string;
}

export function newSealKeys(): SealKeys {
  const { d = '', x = '' } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const base64 = (url: string) => Buffer.from(url, 'base64url').toString('base64');
  return { publicKey: base64(x), privateKey: base64(d) };
}

/** What stands before the 32 bytes of an X25519 key in PKCS #8 (RFC 8410). */
const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Whether what is sealed to the one can be opened with the other. */
export function isPair(publicKey: Buffer, privateKey: Buffer): boolean {
  const der = Buffer.concat([PKCS8_X25519, privateKey]);
  const half = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return half.export({ format: 'jwk' }).x === publicKey.toString('base64url');
}
