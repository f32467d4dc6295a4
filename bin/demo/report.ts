// What the demo prints once the rotation has ended: the audit trail, the proofs, and how to do the next one by hand.
import type { RowView, Screen } from './screen.ts';
import type { Walk } from './walk.ts';

/** The trail as the stream told it, oldest first. */
export function printTrail(screen: Screen, { trail }: Pick<Walk, 'trail'>): void {
  screen.say('\nThe audit trail, as the stream told it:');
  const lines = trail.map(({ seq, data }) => {
    const { at, operator_id: operator, event, from, status, consumer_id: consumer } = data;
    const moved = status === undefined ? '' : `${text(from)} → ${text(status)}`;
    return [String(seq), text(at), text(operator), text(event), text(consumer ?? moved)];
  });
  for (const line of aligned([['seq', 'at', 'operator', 'event', 'consumer, or from → to'], ...lines]))
    screen.say(line);
}

export function printProofs(screen: Screen, rows: readonly RowView[]): void {
  screen.say('\nHow each consumer was proven to run on the new token before the old one was revoked:');
  const lines = rows.map((row) => [
    row.consumer_id,
    row.proof ?? 'not proven',
    row.proven_at ?? '',
    row.note ?? words[row.proof ?? ''] ?? '',
  ]);
  for (const line of aligned(lines)) screen.say(line);
}

const words: Readonly<Record<string, string>> = {
  possession: 'answered the challenge with the new token’s own HMAC',
  read_back: 'read back equal, every dyno up on that release, then healthy after the wait',
  presented: 'accepted the new token',
  by_hand: 'a person confirmed it',
};

/** Lines for a POSIX shell, without any token in them. */
export function printByHand(screen: Screen, credential: string, ticketId: string, envFile: string): void {
  screen.say(`
Velvet goes on serving until Ctrl-C. The next rotation by hand, in another shell, in this folder:

  . ${envFile}
  velvet() { curl -sS -H "Authorization: Bearer $VELVET_TOKEN" -H 'Content-Type: application/json' "$VELVET_URL/tokens/${credential}/$@"; echo; }
  JOB=$(velvet rotate -d '{"flow_type":"operational","idempotency_key":"'$(date +%s)'","force_revoke":false}' | sed 's/.*"job_id":"\\([^"]*\\)".*/\\1/'); echo $JOB
  velvet rotations/$JOB/stage -d '{"action":"verify"}'
  velvet rotations/$JOB          # again, until "status":"verified"
  velvet rotations/$JOB/stage -d '{"action":"proceed_mint"}'
  velvet rotations/$JOB/stream -N   # follow it; Ctrl-C at "validating"
  velvet rotations/$JOB/stage -d '{"action":"confirm_consumer","consumer_id":"github-actions-heroku-api-key","note":"updated_at moved"}'
  velvet rotations/$JOB/stream -N   # Ctrl-C at "validated", after about 35 s
  velvet rotations/$JOB/stage -d '{"action":"proceed_revoke","ticket_id":"${ticketId}"}'
  velvet rotations/$JOB          # until "status":"done"
`);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`.trimEnd(),
  );
}
