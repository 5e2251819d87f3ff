import type { Outside, Probe } from './probe.ts'

const quoted = (items: readonly (string | number)[]): string =>
  items.map((item) => `'${String(item).replaceAll(/[\\']/g, '\\$&')}'`).join(', ')

/** Finds processes of others under /proc by the word in their command line. */
const strangers = ({ word }: Outside): string => `my $found = 0;
  for my $dir (entries('/proc', '^[0-9]+')) { open my $file, '<', "$dir/cmdline" or next; local $/;
    my $line = <$file>; if (defined $line && $line =~ /\\0${word}-(machine|neighbour)/) { $found++; broken("$dir is a process of somebody else") } }
  held('no process of others in /proc') if !$found;`

/** The machine, its files, sockets and processes, Slopbox itself, and the sandboxes beside this one. */
export const machineProbes: readonly Probe[] = [
  {
    name: 'machine-files',
    tried: "read a file of the machine, directly and through every process's root",
    script: ({
      file,
      word,
    }) => `my @roots = ('', map({ "$_/root" } entries('/proc', '^[0-9]+')), '/../../../..', '/proc/self/cwd/../../../..');
      my $seen = 0; for my $root (@roots) { open my $in, '<', $root . ${quoted([file])} or next; local $/; if (<$in> =~ /${word}/) { $seen++; broken("read through '$root'") } }
      held(@roots . ' ways: not there') if !$seen;
      unreadable('/proc/kcore', '/var/lib/docker/engine-id');`,
  },
  {
    name: 'machine-sockets',
    tried: "connect to the machine's Unix sockets, by path and in the abstract namespace",
    script: ({
      socket,
      abstract,
    }) => `for my $name (${quoted([socket, '/run/docker.sock', '/run/containerd/containerd.sock', '/run/dbus/system_bus_socket'])}, "\\0${abstract}") {
        socket(my $s, 1, 1, 0) or die $!; my $shown = $name; $shown =~ s/\\0/@/;
        if (connect($s, pack('S a*', 1, $name) . ($name =~ /^\\0/ ? '' : "\\0"))) { broken("$shown answers") } else { held("$shown: $!") } }`,
  },
  {
    name: 'machine-listeners',
    tried: 'connect to what listens on the machine, on its end of the link and on loopback',
    script: ({ hostAddress, port, word }) =>
      `unreachable("machine port ${port} at $_", $_, ${port}, 1, '${word}') for ('${hostAddress}', '127.0.0.1');`,
  },
  { name: 'machine-processes', tried: 'find processes of the machine and of other sandboxes', script: strangers },
  {
    name: 'machine-signals',
    tried: 'signal a process of the machine by its number',
    script: ({
      pid,
      word,
    }) => `if (open my $in, '<', '/proc/${pid}/cmdline') { <$in> =~ /${word}/ ? broken('${pid} is there') : held('${pid} is one of our own') }
      elsif (kill 0, ${pid}) { broken('${pid} takes signals') } else { held("kill ${pid}: $!") }`,
  },
  {
    name: 'neighbour-network',
    tried: "connect to another sandbox's address",
    script: ({ neighbour: { address, port }, word }) =>
      `unreachable('neighbour', '${address}', ${port}, 1, '${word}'); unreachable('neighbour (UDP)', '${address}', ${port}, 2, '${word}');`,
  },
  {
    name: 'neighbour-files',
    tried: "find another sandbox's files, shared memory and message queues",
    script: ({
      word,
    }) => `my @names = map { entries($_, '^${word}') } '/tmp', '/run', '/dev/shm', '/var/tmp', map({ "$_/root/tmp" } entries('/proc', '^[0-9]+'));
      @names ? broken("found @names") : held('nothing of others found');
      my @queues = entries('/dev/mqueue', '.'); @queues ? broken("message queues: @queues") : held('no message queue of others');`,
  },
  {
    name: 'control-and-gateway',
    tried: "reach Slopbox's own sockets, directories and ports",
    script: ({
      internals,
      hostAddress,
    }) => `for my $path (${quoted(internals.paths)}) { -e $path ? broken("$path is there") : held("$path: $!") }
      unreachable("port $_", '${hostAddress}', $_, 1, undef) for (${internals.ports.join(', ')});
      my @run = grep { !m{/init$} } entries('/run/slopbox', '.'); @run ? broken("in /run/slopbox: @run") : held('/run/slopbox: only the init');
      my @told = grep { /TOKEN|CREDENTIAL|MASTER|DATABASE/ } keys %ENV; @told ? broken("variables @told") : held('no credential in a variable');`,
  },
  {
    name: 'metadata-service',
    tried: 'ask the cloud for credentials at 169.254.169.254',
    script: () => `unreachable('metadata service', '169.254.169.254', 80, 1, '200 OK')`,
  },
  {
    name: 'own-address',
    tried: 'take another address, change the link, the name server or the hosts file',
    script: () => `socket(my $s, 2, 2, 0) or die $!; my $link = pack('a16 S n C4 x8', 'eth0', 2, 0, 10, 66, 66, 66);
      ioctl($s, 0x8916, $link) ? broken('another address was taken') : held("set address: $!");
      my $flags = pack('a16 s x22', 'eth0', 0x1143); ioctl($s, 0x8914, $flags) ? broken('the link was changed') : held("set flags: $!");
      unwritable('/etc/resolv.conf', '/etc/hosts');`,
  },
  {
    name: 'runtime-binary',
    tried: 'overwrite the init and whatever started us',
    script: () => `unwritable('/run/slopbox/init', '/proc/1/exe');`,
  },
  {
    name: 'leaked-descriptors',
    tried: 'use descriptors that were left open',
    script: () => `my @names = do { opendir my $dir, '/proc/self/fd' or die $!; readdir $dir };
      for my $fd (sort grep { /^[0-9]+/ } @names) { my $to = readlink "/proc/self/fd/$fd"; next if !defined $to;
        if ($fd > 2) { broken("descriptor $fd is $to") } elsif ($to =~ m{^(pipe:|socket:|/dev/null|/dev/pts/)}) { held("descriptor $fd: harmless") } else { broken("descriptor $fd is $to") } }`,
  },
]
