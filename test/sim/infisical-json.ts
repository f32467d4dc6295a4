// Infisical's answers as they travel.
import type { StoredFolder, StoredSecret } from './infisical-projects.ts';
import { valueOf } from './infisical-projects.ts';
import type { Answer } from './server.ts';

/** Infisical's own form of a refusal; for a 422 `message` is a list. */
export function infisicalError(
  statusCode: number,
  error: string,
  message: string | readonly unknown[],
): Answer {
  return {
    status: statusCode,
    body: { reqId: `req-${crypto.randomUUID().slice(0, 8)}`, statusCode, error, message },
  };
}

/** The cloud's 429 names its wait in words; `Retry-After` is there only where a script asks for it. */
export function tooMany(retryAfterS: number | null): Answer {
  return {
    ...infisicalError(
      429,
      'RateLimitExceeded',
      `Rate limit exceeded. Please try again in ${retryAfterS ?? 3} seconds`,
    ),
    ...(retryAfterS === null ? {} : { headers: { 'retry-after': String(retryAfterS) } }),
  };
}

export interface Shown {
  /** Whether the value is shown; where not, a stand-in is. */
  readonly value: boolean;
  readonly version?: string | undefined;
  readonly expand?: (value: string) => string;
}

export function secretJson(folder: StoredFolder, secret: StoredSecret, shown: Shown): object {
  const value = valueOf(secret, shown.version) ?? '';
  return {
    id: secret.id,
    _id: secret.id,
    workspace: 'workspace',
    environment: folder.environment,
    secretKey: secret.key,
    secretValue: shown.value ? (shown.expand?.(value) ?? value) : '<hidden-by-infisical>',
    secretValueHidden: !shown.value,
    secretComment: '',
    secretPath: folder.path,
    version: shown.version === undefined ? secret.versions.length : Number(shown.version),
    type: 'shared',
    createdAt: '2026-11-22T10:00:00.000Z',
    updatedAt: '2026-11-22T10:00:00.000Z',
    tags: [],
    secretMetadata: [],
  };
}
