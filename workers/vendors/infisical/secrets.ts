// Secrets in a folder of Infisical, through its SDK. Law: one request a verb, read as it was written, and a missing folder is never an empty one.
import type { InfisicalSDK } from '@infisical/sdk';
import { z } from 'zod';
import { Secret } from '../../../shared/lib/secret.ts';
import type { VendorCall } from '../contract.ts';
import { failure } from '../http-failures.ts';
import { askThroughSdk } from '../http-sdk.ts';
import type { Heard } from '../http-sdk.ts';
import { demandApplied, isTokenRefused, parseAnswer, refusalOf } from './answers.ts';
import { createSessions } from './sessions.ts';
import type { Identity, InfisicalDeps } from './sessions.ts';

/** A folder, and as whom it is used. */
export interface Place {
  readonly identity: Identity;
  readonly projectId: string;
  readonly environment: string;
  /** Begins with a slash, and ends with none unless it is the root. */
  readonly path: string;
}

export interface Held {
  /** Null where the secret is there and empty. */
  readonly value: Secret | null;
  /** Goes up by one with each write. */
  readonly version: number;
}

export interface NamedValue {
  readonly name: string;
  readonly value: Secret;
}

/** Every verb throws the door's errors, `authority_invalid`, `vendor_forbidden`, and `vendor_target_missing` where there is no such folder. */
export interface InfisicalSecrets {
  /** Null where the folder holds no such secret. */
  get(call: VendorCall, place: Place, name: string): Promise<Held | null>;
  /** Never replaces. */
  create(call: VendorCall, place: Place, named: NamedValue): Promise<'created' | 'exists'>;
  /** Creates where there is none. */
  put(call: VendorCall, place: Place, named: NamedValue): Promise<void>;
  remove(call: VendorCall, place: Place, name: string): Promise<'removed' | 'missing'>;
  /** Without asking for values. */
  names(call: VendorCall, place: Place): Promise<readonly string[]>;
  /** Changes nothing; for a look at whether the place can be used. */
  demandFolder(call: VendorCall, place: Place): Promise<void>;
}

/** Infisical takes white space off both ends of a value and keeps one line break at its end (v4 secret-router.ts). What changes by that could never be read back. */
export function survivesStoring(value: Secret): boolean {
  const text = value.reveal();
  return text === (text.endsWith('\n') ? `${text.trim()}\n` : text.trim());
}

const secretShape = z.looseObject({
  secretKey: z.string(),
  secretValue: z.string(),
  secretValueHidden: z.boolean().nullish(),
  version: z.int(),
});
const getShape = z.looseObject({ secret: secretShape });
const listShape = z.looseObject({ secrets: z.array(z.looseObject({ secretKey: z.string() })) });
const foldersShape = z.looseObject({ folders: z.array(z.looseObject({ name: z.string() })) });

/** What is asked of Infisical, and which refusals are an answer to it. */
interface Question {
  readonly ask: (sdk: InfisicalSDK) => Promise<unknown>;
  readonly answers?: readonly number[];
  readonly value?: Secret;
}

export function infisicalSecrets(deps: InfisicalDeps): InfisicalSecrets {
  const sessions = createSessions(deps);

  async function heardOf(call: VendorCall, identity: Identity, question: Question): Promise<Heard> {
    for (let renewed = false; ; renewed = true) {
      const session = await sessions.of(identity);
      const { clientSecret } = identity;
      const secrets = [
        session.token,
        clientSecret,
        ...(question.value === undefined ? [] : [question.value]),
      ];
      const heard = await askThroughSdk(deps.door, call, { vendor: 'infisical', secrets }, () =>
        question.ask(session.sdk),
      );
      // Refused before anything was looked at, so asking again repeats nothing.
      if (!isTokenRefused(heard) || renewed) return heard;
      sessions.drop(identity, session);
    }
  }

  async function heard(call: VendorCall, { identity }: Place, question: Question): Promise<Heard> {
    const answer = await heardOf(call, identity, question);
    const options = { nowMs: deps.clock.now(), rateLimitWaitMs: deps.times.rateLimitWaitMs };
    const refusal = refusalOf(answer, options, question.answers);
    if (refusal !== null) throw refusal;
    return answer;
  }

  async function demandFolder(call: VendorCall, place: Place): Promise<void> {
    const slash = place.path.lastIndexOf('/');
    const listed = await heard(call, place, {
      ask: (sdk) =>
        sdk.folders().listFolders({
          projectId: place.projectId,
          environment: place.environment,
          path: place.path.slice(0, slash) || '/',
        }),
      // The folder that it would lie in is not there either.
      answers: [404],
    });
    const folders = listed.answer.status === 404 ? [] : parseAnswer(listed, foldersShape).folders;
    const isRoot = place.path === '/' && listed.answer.status !== 404;
    if (isRoot || folders.some((one) => one.name === place.path.slice(slash + 1))) return;
    throw failure(
      listed.name,
      'vendor_target_missing',
      `there is no folder ${place.path} in the environment ${place.environment}, and Infisical makes none by itself`,
    );
  }

  const update = (call: VendorCall, place: Place, { name, value }: NamedValue): Promise<Heard> =>
    heard(call, place, {
      ask: (sdk) => sdk.secrets().updateSecret(name, { ...fieldsOf(place), secretValue: value.reveal() }),
      answers: [404],
      value,
    });

  const post = (call: VendorCall, place: Place, { name, value }: NamedValue): Promise<Heard> =>
    heard(call, place, {
      ask: (sdk) => sdk.secrets().createSecret(name, { ...fieldsOf(place), secretValue: value.reveal() }),
      answers: [400, 404],
      value,
    });

  async function get(call: VendorCall, place: Place, name: string): Promise<Held | null> {
    const answer = await heard(call, place, {
      // Left out, the SDK asks for references in the value to be replaced by what they name.
      ask: (sdk) =>
        sdk.secrets().getSecret({
          ...fieldsOf(place),
          secretName: name,
          expandSecretReferences: false,
          includeImports: false,
          viewSecretValue: true,
        }),
      answers: [404],
    });
    if (answer.answer.status === 404) {
      await demandFolder(call, place);
      return null;
    }
    const { secret } = parseAnswer(answer, getShape);
    if (secret.secretKey !== name) throw answer.response.notUnderstood('answered with another secret');
    if (secret.secretValueHidden === true)
      throw answer.response.error('vendor_forbidden', 'this identity may not see the value');
    return {
      value: secret.secretValue === '' ? null : new Secret(secret.secretValue),
      version: secret.version,
    };
  }

  async function create(call: VendorCall, place: Place, named: NamedValue): Promise<'created' | 'exists'> {
    const answer = await post(call, place, named);
    if (answer.answer.status < 300) {
      demandApplied(answer);
      return 'created';
    }
    if (answer.answer.status === 404) {
      await demandFolder(call, place);
      throw answer.response.error('vendor_target_missing', 'answered 404 to the making of a secret');
    }
    // A duplicate has no status and no name of its own, so it is looked at.
    if ((await get(call, place, named.name)) !== null) return 'exists';
    throw answer.response.error('vendor_rejected', 'answered 400 to the making of a secret');
  }

  return {
    get,
    create,
    demandFolder,

    async put(call, place, named) {
      const updated = await update(call, place, named);
      if (updated.answer.status !== 404) return demandApplied(updated);
      if ((await create(call, place, named)) === 'created') return;
      // Somebody made it in between.
      const again = await update(call, place, named);
      if (again.answer.status === 404)
        throw again.response.error('vendor_target_missing', 'the secret came and went');
      demandApplied(again);
    },

    async remove(call, place, name) {
      const answer = await heard(call, place, {
        ask: (sdk) => sdk.secrets().deleteSecret(name, fieldsOf(place)),
        answers: [404],
      });
      if (answer.answer.status === 404) {
        await demandFolder(call, place);
        return 'missing';
      }
      demandApplied(answer);
      return 'removed';
    },

    async names(call, place) {
      const answer = await heard(call, place, {
        ask: (sdk) =>
          sdk.secrets().listSecrets({
            ...fieldsOf(place),
            expandSecretReferences: false,
            includeImports: false,
            recursive: false,
            viewSecretValue: false,
          }),
      });
      const { secrets } = parseAnswer(answer, listShape);
      // A folder that is not there lists as empty.
      if (secrets.length === 0) await demandFolder(call, place);
      return secrets.map((secret) => secret.secretKey);
    },
  };
}

function fieldsOf({ projectId, environment, path }: Place) {
  return { projectId, environment, secretPath: path };
}
