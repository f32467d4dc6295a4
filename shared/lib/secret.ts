// The only form in which a credential's value travels through Velvet. Law: however it is printed, it prints as `[secret]`.
import { createHmac, timingSafeEqual } from 'node:crypto';

const PRINTED = '[secret]';

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    if (value === '') throw new TypeError('a secret cannot be empty');
    this.#value = value;
  }

  /** The value itself. Allowed in vendors/, vault/ and notify/ alone, where it is sent or stored; test/tidy.test.ts enforces it. */
  reveal(): string {
    return this.#value;
  }

  /** Whether both hold the same value; takes the same time wherever they differ. */
  equals(other: Secret): boolean {
    return timingSafeEqual(digest(this.#value), digest(other.#value));
  }

  /** HMAC-SHA-256 under the installation's key, as 64 hex digits. Safe to store: without the key it cannot be guessed offline. */
  fingerprint(key: Buffer): string {
    return createHmac('sha256', key).update(this.#value).digest('hex');
  }

  /** What a consumer that runs on this value answers to `Velvet-Challenge: <nonce>`: base64url HMAC-SHA-256, keyed with the value. */
  proof(nonce: string): string {
    return createHmac('sha256', this.#value).update(nonce).digest('base64url');
  }

  /** Whether `text` contains the value. For sanitising what a vendor or a library says. */
  appearsIn(text: string): boolean {
    return text.includes(this.#value);
  }

  /** `text` with each appearance of the value, plain, percent-encoded or JSON-escaped, replaced. */
  removeFrom(text: string): string {
    const forms = new Set([
      this.#value,
      encodeURIComponent(this.#value),
      JSON.stringify(this.#value).slice(1, -1),
    ]);
    return [...forms].reduce((clean, form) => clean.replaceAll(form, PRINTED), text);
  }

  toString(): string {
    return PRINTED;
  }

  toJSON(): string {
    return PRINTED;
  }

  [Symbol.toPrimitive](): string {
    return PRINTED;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return PRINTED;
  }
}

/** What a value can be recognised by without being at hand; a `Secret` is one of itself. */
export interface Likeness {
  equals(held: Secret): boolean;
}

/** Recognises the value of which only the fingerprint is left, e.g. one that died before anybody copied it. */
export function likenessOf(key: Buffer, fingerprint: string): Likeness {
  return {
    equals: (held) =>
      timingSafeEqual(Buffer.from(held.fingerprint(key), 'hex'), Buffer.from(fingerprint, 'hex')),
  };
}

/** The first 12 hex digits: enough to tell two values apart on a screen. */
export function shortFingerprint(fingerprint: string): string {
  return fingerprint.slice(0, 12);
}

// timingSafeEqual wants equal lengths; a digest has one, whatever was typed.
function digest(value: string): Buffer {
  return createHmac('sha256', 'velvet:equals').update(value).digest();
}
