// What admins do: flags and service tokens. A token is shown once, when it is made; only its hash is stored.
import { createRoute, z } from '@hono/zod-openapi';
import { isoTime } from '../../shared/lib/clock.ts';
import { VelvetError } from '../../shared/lib/errors.ts';
import { flagDefaults, type FlagName, type ServiceToken } from '../../shared/redis/system-store.ts';
import { newRouter, type ApiDeps, type App } from '../router.ts';
import { demand, demandWithin, namingNothing } from '../auth.ts';
import { clipped } from '../problem.ts';
import { anyAnswer, flagBody, jsonBody, nameParam, newTokenBody, refused } from '../schemas.ts';

export function adminRoutes(deps: ApiDeps): App {
  const app = newRouter();
  const flag = createRoute({
    method: 'put',
    path: '/flags/{name}',
    tags: ['admin'],
    summary: 'Switch a flag',
    request: { params: nameParam, body: jsonBody(flagBody) },
    responses: { 200: anyAnswer('All flags'), ...refused },
  });
  app.openapi(flag, async (context) => {
    const caller = demand(context, 'admin');
    const { name } = context.req.valid('param');
    if (!isFlag(name))
      throw new VelvetError('not_found', 'unknown flag', {
        detail: `There is no flag '${clipped(name)}'. Name one of those that there are: ${Object.keys(flagDefaults).join(', ')}.`,
      });
    const { enabled } = context.req.valid('json');
    await deps.system.setFlag(name, enabled);
    deps.log.warn('flag switched', { flag: name, enabled, operator_id: caller.owner });
    return context.json(await deps.system.flags(), 200);
  });

  const listTokens = createRoute({
    method: 'get',
    path: '/service-tokens',
    tags: ['admin'],
    summary: 'The service tokens, without their values',
    responses: { 200: anyAnswer('{"service_tokens":[…]}'), ...refused },
  });
  app.openapi(listTokens, async (context) => {
    demand(context, 'admin');
    return context.json({ env: deps.env, service_tokens: (await deps.system.tokens()).map(shown) }, 200);
  });

  const create = createRoute({
    method: 'post',
    path: '/service-tokens',
    tags: ['admin'],
    summary: 'Make a service token; it is shown this once',
    request: { body: jsonBody(newTokenBody) },
    responses: { 201: anyAnswer('The token'), ...refused },
  });
  app.openapi(create, async (context) => {
    const caller = demand(context, 'admin');
    const body = context.req.valid('json');
    demandWithin(caller, body.credentials ?? null);
    const nothing = namingNothing(body.credentials ?? [], deps.manifest);
    if (nothing.length > 0)
      throw new VelvetError('invalid_request', 'patterns that name nothing', {
        detail: `'credentials': ${nothing.map(clipped).join(', ')} names no credential of the manifest. \`GET /tokens\` lists them: mend it and send it again; nothing was made.`,
        extra: { fields: ['credentials'] },
      });
    const now = deps.clock.now();
    const { token, record } = await deps.system.createToken({
      name: body.name,
      owner: body.owner,
      scopes: body.scopes,
      credentials: body.credentials ?? null,
      slack_user_id: body.slack_user_id ?? null,
      created_at: now,
      expires_at: now + body.expires_in * 1000,
    });
    deps.log.warn('service token made', {
      token_id: record.id,
      owner: record.owner,
      operator_id: caller.owner,
    });
    return context.json({ ...shown(record), token }, 201);
  });

  const remove = createRoute({
    method: 'delete',
    path: '/service-tokens/{id}',
    tags: ['admin'],
    summary: 'Delete a service token; it is refused from the next request on',
    request: { params: z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) }) },
    responses: { 204: { description: 'Deleted' }, ...refused },
  });
  app.openapi(remove, async (context) => {
    const caller = demand(context, 'admin');
    const { id } = context.req.valid('param');
    if (!(await deps.system.deleteToken(id)))
      throw new VelvetError('not_found', 'unknown token', {
        detail: `There is no service token '${clipped(id)}'. \`GET /service-tokens\` lists them.`,
      });
    deps.log.warn('service token deleted', { token_id: id, operator_id: caller.owner });
    return context.body(null, 204);
  });
  return app;
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(flagDefaults, name);
}

function shown(token: ServiceToken): Record<string, unknown> {
  const { id, name, owner, scopes, credentials, slack_user_id } = token;
  const times = { created_at: isoTime(token.created_at), expires_at: isoTime(token.expires_at) };
  return { id, name, owner, scopes, credentials, slack_user_id, ...times };
}
