// The consumer probe: its contract suite.
import { contractTest } from '../contract/contract-test.ts';
import { healthcheckChecks, healthcheckWorld } from '../contract/healthcheck.ts';

contractTest(healthcheckChecks, () => healthcheckWorld());
