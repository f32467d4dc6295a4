// What a cleanup names for a person: each finding in words that say what to do.
import type { Job } from '../../shared/rotation/job.ts';
import type { Finding } from '../../shared/rotation/residuals.ts';
import type { Row } from '../../shared/rotation/rows.ts';
import { isByHand } from './deps.ts';
import type { Look } from './look.ts';

export function oldTokenLive(job: Job): Finding {
  return {
    kind: 'old_token_live',
    who: job.oldAuthId ?? job.credential,
    what_to_do:
      'Every consumer is on the new token, and the old one is live. Revoke it by hand and send mark_revoked, or send restore to go back.',
  };
}

/** Whoever may hold the new value while the old one lives. */
export function staleOnNew(look: Look): Finding {
  const who = look.row.consumer_id;
  const unread = look.holds === 'unknown' && look.row.receipt === null;
  const kind = unread ? ('may_hold_dead_token' as const) : ('stale_consumer' as const);
  if (isByHand(look.row)) {
    const what_to_do = `It may hold the new value: a person writes there, and Velvet can neither look nor write. Put the old value back there by hand, then resolve this.`;
    return { kind, who, what_to_do };
  }
  const seen = {
    new: 'It holds the new value.',
    old: `It holds the old value, but its processes do not all run on it: ${look.detail}.`,
    other: 'It holds another value.',
    unknown: `It may hold the new value and could not be read back: ${look.detail}`,
  }[look.holds];
  return { kind, who, what_to_do: `${seen} Send restore, or put the old value back there and resolve this.` };
}

/** Whoever was left on the dead value after the new one became the current one. */
export function staleOnDead(look: Look): readonly Finding[] {
  const who = look.row.consumer_id;
  if (look.holds === 'old')
    return [
      {
        kind: 'stale_consumer',
        who,
        what_to_do:
          'It holds the dead value. Write the new one there (`vault_ref` says where it is), then resolve this.',
      },
    ];
  if (look.holds !== 'unknown') return [];
  return [
    {
      kind: 'may_hold_dead_token',
      who,
      what_to_do: `It could not be read back, and may hold the dead value: ${look.detail} Check it by hand, then resolve this.`,
    },
  ];
}

/** Whoever holds, or may hold, the new value when the previous one is no good any more. */
export function cannotGoBack(row: Row): Finding {
  return {
    kind: 'stale_consumer',
    who: row.consumer_id,
    what_to_do:
      'It holds, or may hold, the new value, and there is no way back to the previous one. Revoke the old token by hand if it lives, and send mark_revoked: the new value stays.',
  };
}

/** Whoever may hold a value of the job that is not to become the current one: there is neither a way back to send, nor one forward. */
export function onPassedValue(look: Look, current: string): Finding {
  const who = look.row.consumer_id;
  const unread = look.holds === 'unknown' && look.row.receipt === null;
  const kind = unread ? ('may_hold_dead_token' as const) : ('stale_consumer' as const);
  const seen =
    look.holds === 'new'
      ? 'It holds the value of this rotation'
      : `It may run on the value of this rotation (${look.detail})`;
  const what_to_do = `${seen}, and that is not going to be the current one any more. Write the current one there (${current} has it), then resolve this.`;
  return { kind, who, what_to_do };
}

/** Whoever runs, or may run, on a value in the vault that no rotation on record minted. */
export function onUnclaimed(look: Look, slot: string, current: string): Finding {
  const who = look.row.consumer_id;
  const todo = `Write the current value there (${current} has it), then resolve this.`;
  if (look.holds === 'new') {
    const what_to_do = `It holds the value in ${slot}, which no rotation on record minted. ${todo}`;
    return { kind: 'stale_consumer', who, what_to_do };
  }
  const what_to_do = `It could not be read back, and may hold the value in ${slot}, which no rotation on record minted: ${look.detail} ${todo}`;
  return { kind: 'may_hold_dead_token', who, what_to_do };
}

/** A token that a person made and entered, that nobody holds, and that only a person can end. */
export function madeByHand(slot: string): Finding {
  return {
    kind: 'orphan_token',
    who: slot,
    what_to_do:
      'The token that was made and entered by hand for this rotation lives at the vendor, and no consumer holds it. Delete it there, then resolve this: the vendor is asked whether it is gone.',
  };
}

/** A token that lives, by its value, and that nobody was seen to hold. */
export function orphanIn(slot: string, ref: string): Finding {
  return {
    kind: 'orphan_token',
    who: slot,
    what_to_do: `The value in ${ref} lives, no rotation on record minted it, and no consumer was seen to hold it. Find its token at the vendor (it may be another account's, its label ends like the slot), revoke it there, then resolve this.`,
  };
}
