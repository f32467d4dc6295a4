// Before and after all of the fleet's test files: collects how long killed steps took, and prints it at the end.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readReport, spreadOf, type InFlight, type Spread } from './recovery.ts';

const kinds: Readonly<Record<InFlight, string>> = {
  nothing: 'no changing call in flight',
  repeatable: 'a write to a consumer in flight',
  unrepeatable: 'a mint or revoke in flight, which waits out lease and late application (45 s)',
};

/** Called by the runner before any test; what it returns is called after all of them. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'velvet-fleet-report-'));
  const file = join(folder, 'recoveries.jsonl');
  writeFileSync(file, '');
  process.env['FLEET_REPORT'] = file;
  return () => {
    const recoveries = readReport(file);
    console.log(
      '\nrecovery: from SIGKILL to the end of the killed step (goal where nothing is waited for: 15 s)',
    );
    for (const [inFlight, words] of Object.entries(kinds) as [InFlight, string][])
      console.log(`  ${words}: ${inWords(spreadOf(recoveries, inFlight))}`);
    rmSync(folder, { recursive: true });
  };
}

function inWords(spread: Spread | null): string {
  if (spread === null) return 'none measured';
  return `median ${spread.median.toFixed(1)} s, max ${spread.max.toFixed(1)} s (${spread.count} kills)`;
}
