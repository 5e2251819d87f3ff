import type { Probe } from './probe.ts'

/** What root and others inside can become. */
export const powerProbes: readonly Probe[] = [
  {
    name: 'capabilities',
    tried: 'hold a capability, gain one, be root outside',
    script: () => `open my $in, '<', '/proc/self/status' or die $!; my %s = map { /^(\\w+):\\s+(.*)/ } <$in>;
      for (qw(CapInh CapPrm CapEff CapBnd CapAmb)) { $s{$_} =~ /^0+$/ ? held("$_: none") : broken("$_ is $s{$_}") }
      $s{NoNewPrivs} == 1 ? held('privileges: none to gain') : broken('new privileges are possible');
      ($s{Seccomp} // 0) == 2 ? held('system calls: filtered') : broken('no filter of system calls');
      open my $map, '<', '/proc/self/uid_map' or die $!; my ($inside, $out) = split ' ', <$map>; $out >= 0x30000000 ? held('root: nobody outside') : broken("root here is $out outside");`,
  },
  {
    name: 'setuid',
    tried: 'become root through a set-user-id program',
    before: `open my $in, '<', '/bin/cat' or die $!; binmode $in; local $/; my $code = <$in>; unlink '/tmp/probe-setuid';
      open my $out, '>', '/tmp/probe-setuid' or die $!; binmode $out; print $out $code; close $out; chmod 04755, '/tmp/probe-setuid' or die $!;`,
    user: '65534',
    script: () => `my $status = \`/tmp/probe-setuid /proc/self/status\`; unlink '/tmp/probe-setuid';
      my ($real, $effective) = $status =~ /^Uid:\\s+(\\d+)\\s+(\\d+)/m or die 'no status';
      $effective == 0 ? broken('a set-user-id program runs as root') : held("set-user-id program: runs as user $effective");
      refused('setuid', 105, 146, 0); refused('setresuid', 117, 147, 0, 0, 0);`,
  },
  {
    name: 'device-nodes',
    tried: 'make devices and use those that are there',
    script:
      () => `my %nodes = (memory => [1, 1], disk => [8, 0], 'virtual-disk' => [254, 0], fuse => [10, 229], kvm => [10, 232]);
      for (sort keys %nodes) { my ($major, $minor) = @{ $nodes{$_} }; my $path = "/tmp/probe-$_"; my $kind = /disk/ ? 0060600 : 0020600;
        my $result = syscall($arm ? 33 : 259, -100, "$path\\0", $kind, $major << 8 | $minor); my $why = "$!";
        if ($result == 0) { (sysopen my $f, $path, 0) ? broken("made and opened $_") : held("$_: $!"); unlink $path } else { held("$_: $why") } }
      my %harmless = map { $_ => 1 } qw(console core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero);
      my @others = grep { !$harmless{$_} } map { m{([^/]+)$} } entries('/dev', '.'); @others ? broken("devices @others") : held('/dev: only harmless devices');`,
  },
  {
    name: 'kernel-memory',
    tried: "read the kernel's memory, log, addresses and debug files",
    script:
      () => `unreadable('/dev/mem', '/dev/kmem', '/dev/port', '/dev/kmsg', '/proc/kmsg', '/sys/kernel/debug/x', '/sys/kernel/tracing/trace', '/sys/firmware/acpi/tables/DSDT');
      if (open my $in, '<', '/proc/kallsyms') { my $line = <$in> // ''; $line =~ /^0*[1-9a-f]/ ? broken("addresses of the kernel: $line") : held('addresses: hidden') }`,
  },
]
