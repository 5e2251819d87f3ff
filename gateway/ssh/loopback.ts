import { Duplex, Readable, Writable } from 'node:stream'
import { SlopboxError } from '../../contract/errors.ts'
import { channels, type ControlFrame } from '../../contract/tunnel.ts'
import { encodeFrame, encodeJsonFrame, readFrames, writeAll, writeFrames } from '../../lib/frames.ts'
import type { Dialler } from '../dial.ts'
import type { Grant } from '../grants.ts'

/** Joins its standard streams to a port of loopback; `+` on standard output says that it is connected. */
const relay = `use Socket;
my $port = shift;
my $server;
for my $to ([AF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)], [AF_INET6, pack_sockaddr_in6($port, Socket::IN6ADDR_LOOPBACK)]) {
  socket(my $try, $to->[0], SOCK_STREAM, 0) or next;
  if (connect($try, $to->[1])) { $server = $try; last }
}
exit 1 unless $server;
sub pass {
  my ($from, $to) = @_;
  while (sysread($from, my $bytes, 65536)) {
    for (my $at = 0; $at < length $bytes; ) {
      my $n = syswrite($to, $bytes, length($bytes) - $at, $at);
      return unless defined $n;
      $at += $n;
    }
  }
}
syswrite(STDOUT, '+');
my $child = fork;
exit 1 unless defined $child;
unless ($child) { pass(\\*STDIN, $server); shutdown($server, 1); exit 0 }
pass($server, \\*STDOUT);
kill 'TERM', $child;`

const timeoutMs = 24 * 3_600_000

/**
 * A connection to a server that listens on the sandbox's loopback alone, where no address of its link leads: a program in
 * the sandbox makes it, so it can reach no more than what runs there already. Throws `upstream_failed`.
 */
export async function dialLoopback(dialler: Dialler, grant: Grant, port: number, signal: AbortSignal): Promise<Duplex> {
  const request = { command: ['perl', '-e', relay, String(port)], env: {}, timeoutMs }
  const start: ControlFrame = { type: 'start', sandboxId: grant.sandboxId, request, keepStdin: true }
  const stream = await dialler.exec(grant, encodeJsonFrame(channels.control, start), signal)
  const output = outputOf(stream)
  const first = await output.next()
  if (first.done === true || first.value.toString('latin1', 0, 1) !== '+') {
    stream.destroy()
    throw new SlopboxError('upstream_failed', `nothing listens on port ${port} of ${grant.sandboxId}`)
  }
  const readable = Readable.from(rest(first.value.subarray(1), output), { objectMode: false })
  const writable = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writeFrames(stream, channels.stdin, chunk).then(() => done(), done)
    },
    final(done) {
      writeAll(stream, encodeFrame(channels.stdinEnd, Buffer.alloc(0))).then(() => done(), done)
    },
  })
  const joined = Duplex.from({ readable, writable })
  joined.once('close', () => stream.destroy())
  return joined
}

async function* outputOf(stream: Duplex): AsyncGenerator<Buffer, void, undefined> {
  for await (const { channel, payload } of readFrames(stream)) {
    if (channel === channels.stdout) yield payload
    // Its exit, or why it could not begin.
    else if (channel === channels.control) return
  }
}

async function* rest(first: Buffer, more: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  if (first.length > 0) yield first
  yield* more
}
