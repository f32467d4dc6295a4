// Who may read an organisation's secret. Law: a write changes the value and nobody's access to it, so the audience is read first and sent back.
import { z } from 'zod';
import type { VendorCall } from '../contract.ts';
import { parseAnswer } from './api.ts';
import type { GithubApi } from './api.ts';
import type { Session } from './session.ts';

export interface Audience {
  readonly visibility: 'all' | 'private' | 'selected';
  readonly selected_repository_ids?: readonly number[];
}

const secretShape = z.looseObject({ visibility: z.enum(['all', 'private', 'selected']) });
const pageShape = z.looseObject({
  total_count: z.int().nonnegative(),
  repositories: z.array(z.looseObject({ id: z.int() })),
});

const PER_PAGE = 100;
/** An organisation has 100,000 repositories at most; a list that goes on longer never ends. */
const PAGES_MAX = 1_000;

/**
 * The audience as the PUT takes it: GitHub demands the visibility and drops the chosen repositories where they are not sent.
 * Throws `vendor_target_missing` where there is no such secret: Velvet does not choose who may read a new one.
 */
export async function readAudience(
  api: GithubApi,
  call: VendorCall,
  { token, root, needs }: Session,
  name: string,
): Promise<Audience> {
  const path = `${root}/actions/secrets/${name}`;
  const response = await api.ask(call, token, { method: 'GET', path, needs, answers: [404] });
  if (response.status === 404)
    throw response.error(
      'vendor_target_missing',
      `the organisation has no secret ${name}, and who may read a new one is not Velvet's to choose: make it once by hand (\`gh secret set ${name} --org <org> --visibility <all|private|selected>\`), then retry`,
    );
  const { visibility } = parseAnswer(response, secretShape);
  if (visibility !== 'selected') return { visibility };

  const ids: number[] = [];
  for (let page = 1; page <= PAGES_MAX; page++) {
    const query = `per_page=${PER_PAGE}&page=${page}`;
    const listed = await api.ask(call, token, {
      method: 'GET',
      path: `${path}/repositories?${query}`,
      needs,
    });
    const { total_count, repositories } = parseAnswer(listed, pageShape);
    ids.push(...repositories.map((one) => one.id));
    if (ids.length >= total_count) return { visibility, selected_repository_ids: ids };
    if (repositories.length === 0)
      throw listed.notUnderstood(
        'lists fewer repositories than it counts, and nobody must lose their access',
      );
  }
  throw response.notUnderstood('the pages of its repositories do not end');
}
