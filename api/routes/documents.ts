// What the API says about itself: /openapi.json, from the schemas that validate; the pages that a problem's `type` points at; a credential's rotation by hand.
import { readFileSync } from 'node:fs';
import { VelvetError } from '../../shared/lib/errors.ts';
import { sopPage } from '../../shared/manifest/sop/page.ts';
import { demand } from '../auth.ts';
import { clipped, runbookPage } from '../problem.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';

const markdown = { 'content-type': 'text/markdown; charset=utf-8' };
const publicPages = ['/docs/errors.md', runbookPage];

export function documentRoutes(whole: App, { manifest }: ApiDeps): App {
  const app = newRouter();
  whole.openAPIRegistry.registerComponent('securitySchemes', 'serviceToken', {
    type: 'http',
    scheme: 'bearer',
  });
  app.get('/openapi.json', (context) =>
    context.json(
      whole.getOpenAPI31Document({
        openapi: '3.1.0',
        info: {
          title: 'Velvet',
          version: '0.1.0',
          description:
            'Rotates credentials and proves that each consumer runs on the new one before it revokes the old.',
        },
        security: [{ serviceToken: [] }],
      }),
    ),
  );
  for (const page of publicPages)
    app.get(page, (context) =>
      context.body(readFileSync(new URL(`../..${page}`, import.meta.url), 'utf8'), 200, markdown),
    );
  // From the manifest that this process runs on, so that it is never older than that. It says who holds what: not for everybody.
  app.get('/docs/sop/:page', (context) => {
    const name = context.req.param('page').replace(/\.md$/, '');
    demand(context, 'read', name);
    const text = sopPage(manifest, name);
    if (text === null)
      throw new VelvetError('not_found', 'no such page', {
        detail: `The manifest has no credential '${clipped(name)}'. \`GET /tokens\` lists those that there are.`,
      });
    return context.body(text, 200, markdown);
  });
  return app;
}
