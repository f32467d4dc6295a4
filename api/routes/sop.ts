// /docs/sop: a credential's rotation by hand, from the manifest that this process runs on, so that it is never older than that.
import { VelvetError } from '../../shared/lib/errors.ts';
import { sopPage } from '../../shared/manifest/sop/page.ts';
import { demand } from '../auth.ts';
import { clipped } from '../problem.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';

/** It says who holds what, so it is for whoever may read the credential's rows. */
export function sopRoutes({ manifest }: ApiDeps): App {
  const app = newRouter();
  app.get('/docs/sop/:page', (context) => {
    const name = context.req.param('page').replace(/\.md$/, '');
    demand(context, 'read', name);
    const text = sopPage(manifest, name);
    if (text === null)
      throw new VelvetError('not_found', 'no such page', {
        detail: `The manifest has no credential '${clipped(name)}'. \`GET /tokens\` lists those that there are.`,
      });
    return context.body(text, 200, { 'content-type': 'text/markdown; charset=utf-8' });
  });
  return app;
}
