// Destinations with one fault each, as a hurried author might write them, and the check that must reject them.
import { VelvetError, isVelvetError } from '../../shared/lib/errors.ts';
import type { Destination } from '../../workers/vendors/contract.ts';
import { bare, mistaking, swallowing } from './broken-issuers.ts';
import type { Broken } from './broken-issuers.ts';
import { callOf } from './expectations.ts';
import type { HerokuAppKit } from './heroku-destination-world.ts';

type MakeDestination = (good: Destination, kit: HerokuAppKit) => Destination;

const path = '/apps/raxx-console-prod/config-vars';
const twice = <T>(run: () => Promise<T>): Promise<T> => run().catch(run);

// One fault after the other is how the table is read.
// oxfmt-ignore
export const brokenDestinations: readonly Broken<MakeDestination>[] = [
  { fault: 'push that writes something else',
    rejectedBy: 'push then read back agrees',
    make: (good) => ({ ...good, push: (call, target, authority) => good.push(call, target, authority, authority) }) },
  { fault: 'push that replaces the whole configuration',
    rejectedBy: 'push leaves its neighbours as they are',
    make: (good, kit) => ({ ...good, push: async (...args) => { await bare(kit, args[2], path, { method: 'PATCH', body: JSON.stringify({ LOG_LEVEL: null }) }); return good.push(...args); } }) },
  { fault: 'a repeat that does not look first',
    rejectedBy: 'a repeated push of the same value is success and changes nothing',
    make: (good) => ({ ...good, push: (call, ...rest) => good.push({ ...call, repeat: false }, ...rest) }) },
  { fault: 'a repeat that trusts the first attempt',
    rejectedBy: 'a repeated push writes where the value is not there yet',
    make: (good) => ({ ...good, push: (call, ...rest) => (call.repeat ? Promise.resolve({ version: '1' }) : good.push(call, ...rest)) }) },
  { fault: 'push that makes nothing new',
    rejectedBy: 'a name that does not exist yet is made, or missing, as declared',
    make: (good, kit) => ({ ...good, push: (call, target, ...rest) => target.update_key in kit.app.config ? good.push(call, target, ...rest) : Promise.resolve({ version: '1' }) }) },
  { fault: 'a deleted app read as done',
    rejectedBy: 'a place that does not exist is vendor_target_missing',
    make: (good) => ({ ...good, push: (...args) => swallowing('vendor_target_missing', { version: '0' }, good.push(...args)) }) },
  { fault: 'push that reads everything and writes everything', rejectedBy: 'pushes to two names at once lose neither',
    make: readingAndWritingEverything },
  { fault: 'push past the door',
    rejectedBy: 'no write leaves without a lease that has time left',
    make: (good, kit) => ({ ...good, push: async (...args) => { await bare(kit, args[2], path, { method: 'PATCH', body: '{}' }); return good.push(...args); } }) },
  { fault: 'settled as soon as it is accepted',
    rejectedBy: 'a write that is accepted and fails later is not in effect',
    make: (good) => ({ ...good, settled: () => Promise.resolve('yes') }) },
  { fault: 'a read back that takes holding for running',
    rejectedBy: 'a write that is accepted and fails later is not in effect',
    make: (good) => ({ ...good, readBack: async (...args) => ({ ...(await good.readBack(...args)), effect: 'running' }) }) },
  { fault: 'a read back that knows only new and old',
    rejectedBy: 'read back tells new, old and other apart, and does not guess',
    make: (good) => ({ ...good, readBack: async (...args) => { const seen = await good.readBack(...args); return { ...seen, holds: seen.holds === 'new' ? 'new' : 'old' }; } }) },
  { fault: 'a read back that writes',
    rejectedBy: 'read back changes nothing',
    make: (good, kit) => ({ ...good, readBack: async (...args) => { await bare(kit, args[2], path, { method: 'PATCH', body: '{}' }); return good.readBack(...args); } }) },
  { fault: 'a permission that is found out by writing',
    rejectedBy: 'whether it may be written is told without writing, and not promised to who may not',
    make: (good, kit) => ({ ...good, mayWrite: async (...args) => { await bare(kit, args[2], path, { method: 'PATCH', body: '{}' }); return good.mayWrite(...args); } }) },
  { fault: 'a permission that is promised to everybody',
    rejectedBy: 'whether it may be written is told without writing, and not promised to who may not',
    make: (good) => ({ ...good, mayWrite: () => Promise.resolve('yes') }) },
  { fault: 'evidence that quotes what it found',
    rejectedBy: 'evidence and receipt never hold a value',
    make: (good, kit) => ({ ...good, readBack: async (...args) => ({ ...(await good.readBack(...args)), detail: JSON.stringify(kit.app.config) }) }) },
  { fault: 'capabilities of its own',
    rejectedBy: 'capabilities are those that the manifest goes by',
    make: (good) => ({ ...good, capabilities: { ...good.capabilities, readBack: 'none' } }) },
  { fault: 'push that retries',
    rejectedBy: 'a lost answer is vendor_no_answer, is not repeated, and the next push converges',
    make: (good) => ({ ...good, push: (...args) => twice(() => good.push(...args)) }) },
  { fault: 'a lost answer read as "nothing happened"',
    rejectedBy: 'a lost answer is vendor_no_answer, is not repeated, and the next push converges',
    make: (good) => ({ ...good, push: (...args) => mistaking('vendor_no_answer', 'vendor_unavailable', good.push(...args)) }) },
  { fault: 'half an answer read as a bad one',
    rejectedBy: 'a write whose answer cannot be read may have happened',
    make: (good) => ({ ...good, push: (...args) => mistaking('vendor_no_answer', 'vendor_bad_answer', good.push(...args)) }) },
  { fault: "a look's failure passed on as the write's",
    rejectedBy: 'a look that fails after the write does not read as if nothing had happened',
    make: (good) => ({ ...good, push: (...args) => good.push(...args).catch((error: unknown) => { throw isVelvetError(error) && error.message.startsWith('written') ? new VelvetError('vendor_unavailable', 'the look failed') : error; }) }) },
  { fault: 'every refusal blamed on the authority',
    rejectedBy: 'a refused authority and a forbidden place are told apart',
    make: (good) => ({ ...good, push: (...args) => mistaking('vendor_forbidden', 'authority_invalid', good.push(...args)) }) },
  { fault: 'an edge taken for the API',
    rejectedBy: 'failures are classified: nothing on a read, unknown on a write',
    make: (good) => ({ ...good, readBack: (...args) => mistaking('vendor_edge_refused', 'vendor_forbidden', good.readBack(...args)) }) },
  { fault: 'an answer that is not understood read as "unknown"',
    rejectedBy: 'an answer in an unknown shape is vendor_bad_answer',
    make: (good) => ({ ...good, readBack: (...args) => swallowing('vendor_bad_answer', { holds: 'unknown', effect: 'unknown', version: null, detail: '' }, good.readBack(...args)) }) },
  { fault: 'a rate limit without its wait',
    rejectedBy: 'a rate limit carries its wait and is one request',
    make: (good) => ({ ...good, push: (...args) => mistaking('vendor_rate_limited', 'vendor_rate_limited', good.push(...args)) }) },
  { fault: 'push that cannot be called off',
    rejectedBy: 'an abort settles promptly',
    make: (good) => ({ ...good, push: (call, ...rest) => good.push(callOf({ repeat: call.repeat }), ...rest) }) },
  { fault: 'a read that follows redirects',
    rejectedBy: 'a redirect is not followed',
    make: (good, kit) => ({ ...good, readBack: async (...args) => { await bare(kit, args[2], path); return good.readBack(...args); } }) },
  { fault: 'an error that quotes the answer',
    rejectedBy: 'no secret is in any error, at any depth',
    make: (good, kit) => ({ ...good, push: (...args) => good.push(...args).catch(() => { throw new VelvetError('vendor_rejected', 'refused', { extra: { answer: { ...kit.app.config } } }); }) }) },
];

/** Of two pushes at once both read before either writes, as happens to those who are fast enough. */
function readingAndWritingEverything(good: Destination, kit: HerokuAppKit): Destination {
  const bothHaveRead = Promise.withResolvers<void>();
  let readers = 0;
  return {
    ...good,
    async push(_call, target, authority, secret) {
      const all = (await (await bare(kit, authority, path)).json()) as Record<string, string>;
      readers += 1;
      if (readers === 2) bothHaveRead.resolve();
      await bothHaveRead.promise;
      const body = JSON.stringify({ ...all, [target.update_key]: secret.reveal() });
      await bare(kit, authority, path, { method: 'PATCH', body });
      return { version: String(kit.app.releases.length) };
    },
  };
}
