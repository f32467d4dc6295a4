// Before and after all of the fleet's test files: collects how long killed steps took, and prints it at the end.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readReport, spreadOf, type Spread } from './recovery.ts';

/** Called by the runner before any test; what it returns is called after all of them. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'velvet-fleet-report-'));
  const file = join(folder, 'recoveries.jsonl');
  writeFileSync(file, '');
  process.env['FLEET_REPORT'] = file;
  return () => {
    const { direct, waiting } = spreadOf(readReport(file));
    console.log(`\nrecovery from SIGKILL to the end of the killed step (goal without a wait: 15 s)`);
    console.log(`  no changing call in flight: ${inWords(direct)}`);
    console.log(`  changing call in flight, with the wait of law 5: ${inWords(waiting)}`);
    rmSync(folder, { recursive: true });
  };
}

function inWords(spread: Spread | null): string {
  if (spread === null) return 'none measured';
  return `median ${spread.median.toFixed(1)} s, max ${spread.max.toFixed(1)} s (${spread.count} kills)`;
}
