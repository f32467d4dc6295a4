// A question that is worth neither a failure nor a wait: an emergency asks it beside what it does, and goes on without the answer.
import { isVelvetError } from '../../shared/lib/errors.ts';
import { logfields } from '../../shared/lib/log.ts';
import type { CoreDeps, Step } from './deps.ts';

/** The answer, or null where none came within `baselineMs`, or the asking failed. */
export async function briefly<T>(
  deps: Pick<CoreDeps, 'times'>,
  at: Step,
  whom: string,
  asking: () => Promise<T | null>,
): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<null>((resolve) => {
    timer = setTimeout(() => {
      at.context.log.warn(`${whom} has not answered in time`);
      resolve(null);
    }, deps.times.baselineMs);
  });
  const asked = asking().catch((error: unknown) => {
    if (!isVelvetError(error)) throw error;
    at.context.log.warn(`${whom} not asked`, logfields(error));
    return null;
  });
  return Promise.race([asked, over]).finally(() => clearTimeout(timer));
}
