// How the file vault keeps a text as bytes: AES-256-GCM, bound to what it is good for. Law: what was changed, or belongs elsewhere, does not open.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

// The layout: this header, 12 bytes nonce, 16 bytes tag, the ciphertext. Another layout gets another number.
const header = Buffer.from('velvet-vault/1\n');
const nonceBytes = 12;
const tagBytes = 16;

/** The bytes of `text` under a key of 32 bytes. `binding` is no part of them and must be given again, unchanged, to open them. */
export function sealText(key: Buffer, binding: Buffer, text: string): Buffer {
  // A random nonce is safe for 2^32 texts under one key (NIST SP 800-38D, 8.3); a vault sees a few each day.
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.concat([header, binding]));
  const ciphertext = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([header, nonce, cipher.getAuthTag(), ciphertext]);
}

/** The text, or null where the bytes were changed, have another key or binding, or were never sealed: GCM does not tell these apart. */
export function openSealed(key: Buffer, binding: Buffer, bytes: Buffer): string | null {
  const body = bytes.subarray(header.length);
  if (!bytes.subarray(0, header.length).equals(header) || body.length <= nonceBytes + tagBytes) return null;
  const nonce = body.subarray(0, nonceBytes);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.concat([header, binding]));
  decipher.setAuthTag(body.subarray(nonceBytes, nonceBytes + tagBytes));
  const text = decipher.update(body.subarray(nonceBytes + tagBytes));
  try {
    return Buffer.concat([text, decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}
