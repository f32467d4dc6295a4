// A mail server with memory, authentication and scripted faults, on smtp-server. Law: it logs nothing.
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly messageId: string;
  /** Head and body as they travelled. */
  readonly raw: string;
  /** The body, decoded. */
  readonly text: string;
  readonly at: number;
}

export type SmtpFault =
  /** The session is ended with 421 at its greeting. */
  | { readonly kind: 'busy' }
  /** One recipient is refused; the others are not. 4xx: for the moment, 5xx: for good. */
  | { readonly kind: 'refuse'; readonly to: string; readonly code: number }
  /** The message is taken in whole, and kept; the answer never comes. */
  | { readonly kind: 'hang_after_data' }
  /** The message is refused after it was sent. */
  | { readonly kind: 'refuse_data'; readonly code: number }
  /** Taken, and answered this much later. */
  | { readonly kind: 'slow'; readonly ms: number };

export interface SmtpSim extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** Sessions that were greeted. */
  readonly sessions: number;
  /** Answers wrongly, so many times (1 unless given), what the fault is about. */
  script(fault: SmtpFault, times?: number): void;
  clearFaults(): void;
  /** From now on connections are refused, or no longer. */
  refuseConnections(refused: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface SmtpOptions {
  /** Null: nobody need log in. */
  readonly login?: { readonly user: string; readonly password: string } | null;
}

/** Without TLS: it listens on the loopback interface alone. */
export async function startSmtp({ login = null }: SmtpOptions = {}): Promise<SmtpSim> {
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();
  const state = { sessions: 0 };
  let faults: { fault: SmtpFault; left: number }[] = [];
  const scripted = <K extends SmtpFault['kind']>(
    kind: K,
    where: (fault: Extract<SmtpFault, { kind: K }>) => boolean = () => true,
  ): Extract<SmtpFault, { kind: K }> | null => {
    const hit = faults.find(
      ({ fault, left }) => left > 0 && fault.kind === kind && where(fault as Extract<SmtpFault, { kind: K }>),
    );
    if (hit === undefined) return null;
    hit.left -= 1;
    return hit.fault as Extract<SmtpFault, { kind: K }>;
  };
  const smtp = new SMTPServer({
    disabledCommands: login === null ? ['STARTTLS', 'AUTH'] : ['STARTTLS'],
    authOptional: login === null,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    size: 2_000_000,
    logger: false,
    onConnect(_session, done) {
      state.sessions += 1;
      done(scripted('busy') === null ? null : failure(421));
    },
    onAuth({ username, password }, _session, done) {
      if (username === login?.user && password === login?.password) done(null, { user: username });
      else done(failure(535));
    },
    onRcptTo({ address }, _session, done) {
      const refused = scripted('refuse', ({ to }) => to === address);
      done(refused === null ? null : failure(refused.code));
    },
    onData(stream, session, done) {
      let raw = '';
      stream.setEncoding('utf8');
      stream.on('data', (part: string) => {
        raw += part;
      });
      stream.once('end', () => {
        const refused = scripted('refuse_data');
        if (refused !== null) return done(failure(refused.code));
        mails.push(mailOf(session, raw));
        if (scripted('hang_after_data') !== null) return;
        setTimeout(() => done(null), scripted('slow')?.ms ?? 0);
      });
    },
  });
  // A client that goes away in the middle is what half of the faults are about.
  smtp.on('error', () => undefined);
  // In front of it, so that connections can be refused and taken again on one port.
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    smtp.server.emit('connection', socket);
  });
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const unlisten = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (server.listening) await unlisten();
  };
  return {
    host: '127.0.0.1',
    port,
    mails,
    get sessions() {
      return state.sessions;
    },
    script: (fault, times = 1) => void faults.push({ fault, left: times }),
    clearFaults: () => void (faults = []),
    async refuseConnections(refused) {
      if (refused === !server.listening) return;
      await (refused ? unlisten() : listen(port));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function failure(responseCode: number): Error {
  return Object.assign(new Error('scripted'), { responseCode });
}

function mailOf({ envelope }: SMTPServerSession, raw: string): ReceivedMail {
  const [head = '', ...body] = raw.split('\r\n\r\n');
  const unfolded = head.replaceAll(/\r\n[ \t]+/g, ' ');
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(unfolded)?.[1]?.trim() ?? '';
  const text = body.join('\r\n\r\n');
  return {
    from: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
    to: envelope.rcptTo.map(({ address }) => address),
    subject: field('Subject'),
    messageId: field('Message-ID'),
    raw,
    text: decoded(text, field('Content-Transfer-Encoding').toLowerCase()),
    at: Date.now(),
  };
}

function decoded(text: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return text;
  const bytes = text
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
