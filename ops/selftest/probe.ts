/** What the probes of `slopbox selftest isolation` are made of. They are perl, which every Debian root has, and need no modules. */

export interface Answer {
  stdout: string
  stderr: string
  code: number | null
  signal: string | null
}

/** A sandbox as the probes see it. */
export interface Cell {
  /** Its isolation or runtime, for the table. */
  name: string
  run(command: readonly string[], options: { user: string; timeoutMs: number; signal?: AbortSignal }): Promise<Answer>
  /** Whether it runs, and if not, why. */
  look(): Promise<{ running: boolean; reason: string | null }>
  /** Starts it again after it was stopped. */
  restart(): Promise<void>
}

/** What lies outside the sandbox, put there to be found if there is a way out. */
export interface Outside {
  /** Stands in every file, answer and command line that must not be seen. */
  word: string
  file: string
  socket: string
  /** Name of a socket in the abstract namespace (unix(7)), without the leading null byte. */
  abstract: string
  /** Where the machine listens, on every address. */
  port: number
  /** Process id on the machine of something that runs under `word`. */
  pid: number
  /** Paths and ports of Slopbox's own processes. */
  internals: { paths: readonly string[]; ports: readonly number[] }
  /** The machine's end of the sandbox's link. */
  hostAddress: string
  /** Another sandbox, which listens on the port and answers with the word. */
  neighbour: { address: string; port: number }
}

export interface Probe {
  name: string
  /** For the table: what was tried. */
  tried: string
  /** Prints `HELD …` or `BROKEN …` lines. Harmless also where nothing holds it. */
  script: (outside: Outside) => string
  /** Runs before, as root inside. */
  before?: string
  /** Default: root inside, who can do most. */
  user?: string
  /** While it runs, the neighbour must answer. */
  bomb?: boolean
}

export interface Case {
  isolation: string
  probe: string
  tried: string
  happened: string
  held: boolean
}

/** EPERM, ENOSYS and EACCES are refusals; any other answer means that the call itself looked at its arguments. */
const prelude = `
$| = 1; my $arm = ${process.arch === 'arm64' ? 1 : 0};
sub held { print "HELD @_\\n" }
sub broken { print "BROKEN @_\\n" }
sub refused { my ($name, $x64, $arm64, @rest) = @_; my @copies = map { my $copy = $_; $copy } @rest; $! = 0;
  my $result = syscall($arm ? $arm64 : $x64, @copies); my $error = $! + 0; my $text = "$!";
  if ($result == -1 && ($error == 1 || $error == 13 || $error == 38)) { held("$name: $text"); return 1 }
  broken($result == -1 ? "$name was carried out: $text" : "$name succeeded"); return 0 }
sub closed { my ($how, $word, @paths) = @_;
  for my $path (@paths) { if (sysopen my $file, $path, $how) { broken("$path opens for $word") } else { held("$path: $!") } } }
sub unreadable { closed(0, 'reading', @_) }
sub unwritable { closed(1, 'writing', @_) }
sub entries { my ($dir, $like) = @_; opendir my $d, $dir or return (); return map { "$dir/$_" } grep { !/^[.][.]?$/ && /$like/ } readdir $d }
sub unreachable { my ($what, $address, $port, $kind, $word) = @_; local $SIG{ALRM} = sub { die "silence" };
  my $heard = eval { alarm 2; socket(my $s, 2, $kind, 0) or die "socket: $!";
    connect($s, pack('S n C4 x8', 2, $port, split /[.]/, $address)) or die "$!"; syswrite($s, "hello\\n") or die "$!";
    defined sysread($s, my $answer, 200) or die "$!"; alarm 0; $answer }; alarm 0; my $why = $@; $why =~ s/ at .*//s;
  return held("$what: " . ($why || 'closed')) if !defined $heard || (defined $word && $heard !~ /$word/);
  broken("$what answered") }
`

export const perl = (script: string): string[] => ['perl', '-e', prelude + script]

/** Judges what a probe printed: every line must hold, and there must be one. */
export function judge(answer: Answer): { held: boolean; happened: string } {
  const lines = answer.stdout.split('\n')
  const of = (kind: string): string[] =>
    lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1))
  const [broken, held] = [of('BROKEN'), of('HELD')]
  if (broken.length > 0) return { held: false, happened: shorten(broken.join('; ')) }
  const ended = answer.signal ?? `exit code ${answer.code}`
  if (answer.code !== 0 || held.length === 0)
    return { held: false, happened: shorten(`the probe did not finish (${ended}) ${answer.stderr.trim()}`) }
  return { held: true, happened: summary(held) }
}

/** `mount: Operation not permitted` for each of many is said once. */
function summary(held: readonly string[]): string {
  if (held.length === 1) return shorten(held[0] ?? '')
  const why = [...new Set(held.map((line) => line.slice(line.lastIndexOf(': ') + 1).trim()))]
  return shorten(`${held.length} ways: ${why.join(', ')}`)
}

const shorten = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > 160 ? `${line.slice(0, 159)}…` : line
}
