// What the audit duties of the stage family work with.
import type { Sealer } from '../../shared/audit/sealer.ts';
import type { SigningKey } from '../../shared/audit/signing-key.ts';
import type { Clock } from '../../shared/lib/clock.ts';
import type { Log } from '../../shared/lib/log.ts';
import type { Claims } from '../../shared/redis/claim.ts';
import type { SealStore } from '../../shared/redis/seal-store.ts';
import type { SystemStore } from '../../shared/redis/system-store.ts';
import type { Times } from '../../shared/times.ts';
import type { Vault } from '../vault/contract.ts';
import type { Watch } from './watch.ts';

export interface AuditDeps {
  readonly env: string;
  readonly vault: Vault;
  readonly store: SealStore;
  readonly sealer: Sealer;
  readonly key: SigningKey;
  readonly system: SystemStore;
  readonly claims: Claims;
  readonly watch: Watch;
  readonly clock: Clock;
  readonly times: Times;
  readonly log: Log;
  /** Names this process in holds. */
  readonly holder: string;
  /** Credentials that may have a trail: the manifest's, and those that ever had a job. */
  readonly credentials: () => Promise<readonly string[]>;
}
