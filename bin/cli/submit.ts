// velvet submit: the new token that a person made at the vendor, over HTTP to the job that waits for it. Law: it is never an argument, so that neither `ps` nor the shell's history has it.
import { z } from 'zod';
import { requireParts, type CliEnv } from '../../shared/lib/env.ts';
import type { Secret } from '../../shared/lib/secret.ts';
import { note, refuse } from './say.ts';
import { readValue } from './value.ts';

const jobShape = z.looseObject({
  job_id: z.string(),
  status: z.string(),
  version: z.int(),
  awaiting: z.string().nullable(),
  awaiting_reason: z.string().nullable(),
  instructions: z.string().nullable(),
  error: z.looseObject({ code: z.string(), detail: z.string() }).nullable(),
});
type Job = z.infer<typeof jobShape>;
const listShape = z.looseObject({ rotations: z.array(jobShape) });
const problemShape = z.looseObject({ code: z.string(), detail: z.string() });

/** The vendor answers in a second or two; after this long the job itself is the place to look. */
const PATIENCE_MS = 60_000;
const POLL_MS = 500;

/** Reads the value and sends it, then says what became of it. Throws where it was not taken, saying why. */
export async function submit(env: CliEnv, name: string): Promise<void> {
  const { url, token } = requireParts(env, 'url', 'token');
  const api = createApi(url, token);
  const path = `/tokens/${encodeURIComponent(name)}/rotations`;
  const { rotations } = listShape.parse(await api('GET', `${path}?limit=20`));
  const job = rotations.find((one) => one.awaiting === 'operator_value');
  if (job === undefined) {
    const newest = rotations[0];
    const stands = newest === undefined ? 'It has none yet.' : `The newest one is ${newest.status}.`;
    refuse(`No rotation of ${name} waits for a value. ${stands} Create one and send proceed_mint first.`);
  }
  if (job.error !== null) note(job.error.detail);
  else if (job.instructions !== null) note(job.instructions);
  const value = await readValue(name, 'submit');
  const ofJob = `${path}/${job.job_id}`;
  await api('POST', `${ofJob}/stage`, {
    action: 'submit_value',
    version: job.version,
    value: value.reveal(),
  });
  const after = await settled(async () => jobShape.parse(await api('GET', ofJob)), job);
  if (after.awaiting !== null)
    refuse(`${after.error?.detail ?? 'It was not taken.'} (${after.awaiting_reason ?? 'no reason given'})`);
  if (after.status === 'mint_failed') refuse(`${after.error?.detail ?? 'It was not taken.'} (mint_failed)`);
  process.stdout.write(`taken: job ${job.job_id} is ${after.status}\n`);
}

/** The job once the stage worker has looked at the value. */
async function settled(read: () => Promise<Job>, before: Job): Promise<Job> {
  for (let waitedMs = 0; waitedMs < PATIENCE_MS; waitedMs += POLL_MS) {
    const job = await read();
    const undecided = job.status === 'minting' && (job.awaiting === null || job.version <= before.version);
    if (!undecided) return job;
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  return refuse(
    `The value was sent, and no stage worker has looked at it for ${PATIENCE_MS / 1000} s. Look at /healthz and at the job ${before.job_id}; a value that is lost is asked for again.`,
  );
}

type Api = (
  method: 'GET' | 'POST',
  path: string,
  body?: Readonly<Record<string, unknown>>,
) => Promise<unknown>;

function createApi(url: string, token: Secret): Api {
  return async (method, path, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      redirect: 'error',
      headers: { authorization: `Bearer ${token.reveal()}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : 'no answer';
      const check = 'Check VELVET_URL, and whether web is up.';
      if (method === 'GET') return refuse(`${url} was not reached (${why}). ${check}`);
      return refuse(
        `${url} gave no answer (${why}). The value may have been taken all the same: look at the job before you enter it again. ${check}`,
      );
    });
    const answer: unknown = await response.json().catch(() => null);
    if (response.ok) return answer;
    const problem = problemShape.safeParse(answer);
    return refuse(
      problem.success
        ? `${problem.data.detail} (${problem.data.code})`
        : `${url} answered ${response.status} with something that is not Velvet's. Check VELVET_URL.`,
    );
  };
}
