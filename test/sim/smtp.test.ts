// The mail simulator answers nodemailer as a server does, its scripted faults included.
import { once } from 'node:events';
import { connect } from 'node:net';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { until } from '../harness.ts';
import { startSmtp, type SmtpSim } from './smtp.ts';

const login = { user: 'velvet', password: 'good' };
function send({ host, port }: SmtpSim, to: readonly string[], password = 'good') {
  const transport = createTransport({
    host,
    port,
    ignoreTLS: true,
    auth: { user: 'velvet', pass: password },
    socketTimeout: 300,
  });
  const mail = {
    from: 'velvet@example.com',
    to: [...to],
    subject: 'Größe',
    text: 'body with ü\n',
    messageId: '<1@example.com>',
  };
  return transport.sendMail(mail).finally(() => transport.close());
}

test('takes a mail in, and keeps its envelope, its head and its body', async () => {
  await using smtp = await startSmtp({ login });
  await send(smtp, ['a@example.com', 'b@example.com']);
  expect(smtp.mails).toMatchObject([
    { from: 'velvet@example.com', to: ['a@example.com', 'b@example.com'], messageId: '<1@example.com>' },
  ]);
  expect(smtp.mails[0]?.text.trim()).toBe('body with ü');
  expect(smtp.sessions).toBe(1);
});

test('who does not know the password is refused', async () => {
  await using smtp = await startSmtp({ login });
  await expect(send(smtp, ['a@example.com'], 'bad')).rejects.toMatchObject({
    code: 'EAUTH',
    responseCode: 535,
  });
  expect(smtp.mails).toEqual([]);
});

test('its faults: busy, one recipient refused, the message refused, silence after it, connections refused', async () => {
  await using smtp = await startSmtp({ login });
  smtp.script({ kind: 'busy' });
  await expect(send(smtp, ['a@example.com'])).rejects.toMatchObject({ responseCode: 421 });
  smtp.script({ kind: 'refuse', to: 'b@example.com', code: 451 });
  expect((await send(smtp, ['a@example.com', 'b@example.com'])).rejected).toEqual(['b@example.com']);
  smtp.script({ kind: 'refuse_data', code: 554 });
  await expect(send(smtp, ['a@example.com'])).rejects.toMatchObject({ responseCode: 554 });
  expect(smtp.mails).toHaveLength(1);
  smtp.script({ kind: 'hang_after_data' });
  await expect(send(smtp, ['a@example.com'])).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  expect(smtp.mails).toHaveLength(2);
  await smtp.refuseConnections(true);
  await expect(send(smtp, ['a@example.com'])).rejects.toMatchObject({ code: 'ESOCKET' });
  await smtp.refuseConnections(false);
  await send(smtp, ['a@example.com']);
  expect(smtp.mails).toHaveLength(3);
});

test('a client that goes away in the middle of its message has sent none, and ends nothing', async () => {
  await using smtp = await startSmtp();
  const client = connect(smtp.port, smtp.host);
  const said: string[] = [];
  client.setEncoding('utf8').on('data', (text: string) => said.push(text));
  await until(() => (said.length > 0 ? true : null));
  for (const line of ['EHLO a', 'MAIL FROM:<a@example.com>', 'RCPT TO:<b@example.com>', 'DATA']) {
    const before = said.length;
    client.write(`${line}\r\n`);
    await until(() => (said.length > before ? true : null));
  }
  await until(() => (said.join('').includes('354') ? true : null));
  client.write('Subject: half a mess');
  client.destroy();
  // The server sees the end of the first one before the second one is through.
  const second = connect(smtp.port, smtp.host);
  await once(second, 'data');
  second.destroy();
  expect(smtp.mails.filter(({ raw }) => raw.includes('half a mess'))).toEqual([]);
});
