// The small manifest that the manifest tests edit, and how a problem's place and message are asserted.
import { expect } from 'vitest';
import { ManifestError, parseManifest, type LoadOptions, type Problem } from '../../shared/manifest/load.ts';

export const committed = new URL('../../manifests/subscription-manifest.yml', import.meta.url).pathname;
export const strict: LoadOptions = { allowLoopback: false };

// Lines and columns below count in this text.
export const good = `version: 2
credentials:
  - token_name: HK_ONE
    issuer: heroku-oauth
    issuer_auth_token_name: HK_BOSS
    scope: shared
    entropy: high
subscribers:
  - token_name: HK_ONE
    consumer_id: first
    env: prod
    update_method: HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/first-app/config-vars
    update_key: API_KEY
    update_auth_token_name: HK_BOSS
    healthcheck_endpoint: https://first.example.com/healthz
    capabilities: [update, healthcheck]
  - token_name: HK_ONE
    consumer_id: second
    env: prod
    wave: 2
    update_method: HEROKU_CONFIG_PATCH
    update_endpoint: https://api.heroku.com/apps/second-app/config-vars
    update_key: API_KEY
    update_auth_token_name: HK_BOSS
    healthcheck_endpoint: null
    capabilities: [update]
`;

export function problemsOf(text: string, options: LoadOptions = strict): readonly Problem[] {
  try {
    parseManifest(text, 'm.yml', options);
  } catch (error) {
    if (error instanceof ManifestError) return error.problems;
    throw error;
  }
  return [];
}

/** The good manifest with its first `from` made `to`; fails where there is none, so that no case tests nothing. */
export function edited(from: string, to: string, text = good): string {
  expect(text).toContain(from);
  return text.replace(from, () => to);
}

/** Problems at these places, each with this part in its message. */
export function at(
  ...expected: readonly (readonly [line: number, column: number, part: string])[]
): Problem[] {
  return expected.map(([line, column, part]) => ({
    file: 'm.yml',
    line,
    column,
    message: expect.stringContaining(part) as string,
  }));
}
