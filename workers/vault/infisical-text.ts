// A value as it lies in Infisical, which takes white space off the ends of what it stores. Law: what is read back is what was put in, to the letter.
import { VelvetError } from '../../shared/lib/errors.ts';
import { Secret } from '../../shared/lib/secret.ts';
import { survivesStoring } from '../vendors/infisical/secrets.ts';

const begin = 'velvet-json:';

/** As it is, so that operators read it with Infisical's own tools; packed in JSON only where Infisical would change it. */
export function toStored(secret: Secret): Secret {
  const text = secret.reveal();
  const plain = survivesStoring(secret) && !text.startsWith(begin);
  return plain ? secret : new Secret(`${begin}${JSON.stringify(text)}`);
}

/** Throws `vault_unavailable` for what begins like a packed value and is none. */
export function fromStored(stored: Secret, slot: string): Secret {
  const text = stored.reveal();
  if (!text.startsWith(begin)) return stored;
  const value = unpacked(text.slice(begin.length));
  if (value !== null) return new Secret(value);
  throw new VelvetError('vault_unavailable', `slot ${slot} holds what Velvet cannot have written`, {
    detail: `Infisical vault, slot ${slot}: it begins with ${begin} and is not what Velvet writes. Put its earlier version back in Infisical.`,
  });
}

/** Null where it is no JSON text, or an empty one. */
function unpacked(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' && value !== '' ? value : null;
  } catch {
    // The parser's message quotes the value.
    return null;
  }
}
