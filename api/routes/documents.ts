// What the API says about itself: /openapi.json, from the schemas that validate, and the pages about errors, one of which a problem's `type` points at.
import { readFileSync } from 'node:fs';
import { runbookPage } from '../document-page.ts';
import { newRouter, type App } from '../router.ts';
import { runbookPath } from '../problem.ts';

const errors = new URL('../../docs/errors.md', import.meta.url);

export function documentRoutes(whole: App): App {
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
  // Made once: what it is made of changes with a deploy alone.
  let runbook: string | undefined;
  app.get(runbookPath, (context) => context.html((runbook ??= runbookPage())));
  app.get('/docs/errors.md', (context) =>
    context.body(readFileSync(errors, 'utf8'), 200, { 'content-type': 'text/markdown; charset=utf-8' }),
  );
  return app;
}
