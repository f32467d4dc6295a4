// What a GitHub App is known by: its client id and private key, as the vault holds them, and the token that it signs for itself. Law: nothing of the key is ever quoted.
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { z } from 'zod';
import { VelvetError } from '../../../shared/lib/errors.ts';
import { Secret } from '../../../shared/lib/secret.ts';

/** The client id (`Iv23…`), or the App's number, which GitHub takes too. */
const appShape = z.looseObject({
  client_id: z.union([z.string().regex(/^[A-Za-z0-9.]{1,64}$/), z.int().positive()]),
  private_key: z.string().min(1),
});

/** GitHub's clock may be behind: a token of the future is refused. */
const ISSUED_BEFORE_S = 60;
/** GitHub takes 10 minutes at most, by its own clock; one minute is left for the difference. */
const EXPIRES_AFTER_S = 9 * 60;

const FORM =
  'Its value must be one line of JSON, {"client_id": "Iv23…", "private_key": "-----BEGIN RSA PRIVATE KEY-----\\n…"}: ' +
  "`jq -cn --arg client_id <id> --rawfile private_key <file>.pem '$ARGS.named' | npx velvet adopt <name>` makes it from the file that GitHub gave out.";

/**
 * The App's own token: RS256, good for a few minutes, for asking after installations alone. Throws `authority_invalid` without
 * a status, saying what the value must look like, where the authority is no App's key.
 */
export async function signedByApp(authority: Secret, nowMs: number): Promise<Secret> {
  const { client_id, private_key } = parseApp(authority);
  const nowS = Math.floor(nowMs / 1000);
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
    .setIssuedAt(nowS - ISSUED_BEFORE_S)
    .setExpirationTime(nowS + EXPIRES_AFTER_S)
    .setIssuer(String(client_id))
    .sign(keyOf(private_key));
  return new Secret(token);
}

function parseApp(authority: Secret): z.output<typeof appShape> {
  const parsed = appShape.safeParse(parsedJson(authority));
  if (!parsed.success) throw notAnApp('it is not the JSON of a client_id and a private_key');
  return parsed.data;
}

function parsedJson(authority: Secret): unknown {
  try {
    return JSON.parse(authority.reveal());
  } catch {
    // The parser's message quotes the text.
    return null;
  }
}

/** PKCS#1, as GitHub gives it out, or PKCS#8. Where a shell or a form has escaped the line ends, they arrive as `\n` in two characters. */
function keyOf(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem.replaceAll(String.raw`\n`, '\n'));
    if (key.asymmetricKeyType === 'rsa') return key;
  } catch {
    // OpenSSL's words may hold a part of what it was given.
  }
  throw notAnApp('its private_key is no RSA key in PEM');
}

function notAnApp(why: string): VelvetError {
  return new VelvetError('authority_invalid', `github: not an App's key: ${why}`, {
    detail: `It is not a GitHub App's key: ${why}. ${FORM}`,
  });
}
