// What has been kept long enough leaves: each sealed segment as one signed record in the log, and a signed stub stays. Law: nothing leaves that does not verify, and nothing of an open job.
import { exportRecord } from '../../shared/audit/export.ts';
import { lossesOf, notedIn } from '../../shared/audit/anchor.ts';
import { openSeal, sealed, type Entry, type OpenedSeal } from '../../shared/audit/seal.ts';
import { isoTime } from '../../shared/lib/clock.ts';
import { logfields } from '../../shared/lib/log.ts';
import type { CredentialRef } from '../../shared/redis/seal-store.ts';
import type { Anchoring } from './anchoring.ts';
import type { AuditDeps } from './deps.ts';
import { verifyOne } from './verification.ts';

/** Heroku cuts a line at 10 kB, and the log a field at 4,000 characters: a record is as many lines as it needs. */
const PART_CHARACTERS = 3_000;
/** How many seals leave at once: their events are read one segment after the other. */
const LEAVING_MAX = 200;
const DAY_MS = 86_400_000;

/** One round over every trail: what is older than `days` leaves. Of several processes one does it. */
export async function retire(
  deps: AuditDeps & { readonly anchoring: Pick<Anchoring, 'read'> },
  refs: readonly CredentialRef[],
  days: number,
  signal: AbortSignal,
): Promise<void> {
  const { store, holder, times, log } = deps;
  if (!(await store.hold('retention', holder, times.leaseMs))) return;
  try {
    for (const ref of refs) {
      if (signal.aborted) return;
      try {
        while ((await retireSome(deps, ref, days)) && !signal.aborted);
      } catch (error) {
        log.warn('audit segments not retired', { credential: ref.credential, ...logfields(error) });
      }
    }
  } finally {
    await store.hold('retention', holder, 0);
  }
}

/** True where there may be more of the same trail. */
async function retireSome(
  deps: AuditDeps & { readonly anchoring: Pick<Anchoring, 'read'> },
  ref: CredentialRef,
  days: number,
): Promise<boolean> {
  const { store, clock, log, anchoring } = deps;
  const old = await oldSeals(deps, ref, clock.now() - days * DAY_MS);
  if (old.length === 0) return false;
  const report = await verifyOne(deps, anchoring, ref);
  if (report.verdict === 'altered' || report.anchored_to < (old[0]?.opened.seal.to_seq ?? 0)) {
    // Evidence stays where it is.
    log.error('audit segments stay: the trail does not verify', { ...ref, finding: report.finding });
    return false;
  }
  const open = await store.openJobIds(ref);
  const leaving: Stored[] = [];
  const jobs = new Set<string>();
  for (const one of old) {
    const entries = await entriesOf(deps, ref, one.opened);
    const own = entries.map(jobOf).filter((id) => id !== null);
    if (one.opened.seal.to_seq > report.anchored_to || own.some((id) => open.has(id))) break;
    if (one.opened.seal.kind !== 'stub') tell(deps, one, entries);
    own.forEach((id) => jobs.add(id));
    leaving.push(one);
  }
  return (await replaced(deps, ref, leaving, [...jobs])) && leaving.length === LEAVING_MAX;
}

interface Stored {
  readonly bytes: Buffer;
  readonly opened: OpenedSeal;
}

/** From the oldest on, with the stub before them; never the newest, on which the next one will be chained. Empty where only a stub is old. */
async function oldSeals(deps: AuditDeps, ref: CredentialRef, before: number): Promise<readonly Stored[]> {
  const old: Stored[] = [];
  for (let place = 0; old.length < LEAVING_MAX; place++) {
    const [bytes, next] = [await deps.store.sealAt(ref, place), await deps.store.sealAt(ref, place + 1)];
    const opened = bytes === null ? null : openSeal(bytes);
    if (bytes === null || opened === null || next === null) break;
    // A stub is as young as the day it was made.
    if (opened.seal.kind !== 'stub' && Date.parse(opened.seal.at) >= before) break;
    old.push({ bytes, opened });
  }
  return old.every(({ opened }) => opened.seal.kind === 'stub') ? [] : old;
}

async function entriesOf(
  deps: AuditDeps,
  ref: CredentialRef,
  { seal }: OpenedSeal,
): Promise<readonly Entry[]> {
  if (seal.kind !== 'segment') return [];
  return deps.store.entries(ref, { from: seal.from_seq, to: seal.to_seq, limit: seal.count + 1 });
}

function jobOf({ fields }: Entry): string | null {
  const row = JSON.parse(fields[1]?.toString('utf8') ?? '{}') as { readonly job_id?: string | null };
  return row.job_id ?? null;
}

/** One signed record: told before it leaves, so that a crash in between tells it twice rather than never. */
function tell({ log }: AuditDeps, { bytes, opened }: Stored, entries: readonly Entry[]): void {
  const record = exportRecord(bytes, entries);
  const { credential, n, from_seq, to_seq } = opened.seal;
  const parts = Math.ceil(record.length / PART_CHARACTERS);
  for (let part = 0; part < parts; part++) {
    const text = record.slice(part * PART_CHARACTERS, (part + 1) * PART_CHARACTERS);
    log.info('audit segment left', {
      credential,
      n,
      from_seq,
      to_seq,
      digest: opened.digest,
      part: part + 1,
      of: parts,
      record: text,
    });
  }
}

async function replaced(
  deps: AuditDeps,
  ref: CredentialRef,
  leaving: readonly Stored[],
  jobs: readonly string[],
): Promise<boolean> {
  const [first, last] = [leaving[0], leaving.at(-1)];
  if (first === undefined || last === undefined || last.opened.seal.kind === 'stub') return false;
  const { seal } = last.opened;
  const before = first.opened.seal.kind === 'stub' ? first.opened : null;
  const stub = {
    kind: 'stub' as const,
    ...ref,
    n: seal.n,
    from_seq: first.opened.seal.from_seq,
    to_seq: seal.to_seq,
    count: leaving.reduce((sum, { opened }) => sum + opened.seal.count, 0),
    digest: last.opened.digest,
    prev: before?.digest ?? '',
    epoch: seal.epoch,
    losses: seal.losses,
    at: isoTime(deps.clock.now()),
    past: [
      ...lossesOf(
        before?.seal.kind === 'stub' ? before.seal.past : [],
        notedIn(leaving.map(({ opened }) => opened)),
      ),
    ],
  };
  const text = sealed(stub, deps.key);
  const done = await deps.store.retire(ref, {
    first: first.bytes,
    count: leaving.length,
    stub: text,
    toSeq: seal.to_seq,
    jobs,
  });
  if (done) deps.log.info('audit retired', { ...ref, n: seal.n, to_seq: seal.to_seq, seal: text });
  return done;
}
