import type { Probe } from './probe.ts'

/**
 * Fills the disk of the sandbox, which has 1 GiB. That either fails inside or stops the sandbox with a reason; each begins
 * by making room after the one before.
 */
export const diskBombs: readonly Probe[] = [
  {
    name: 'disk-bomb',
    tried: 'write 8 GiB to a disk of 1 GiB',
    script: () => `open my $out, '>', '/tmp/probe-disk' or die $!; my $block = 'x' x (1 << 20);
      for (1 .. 8192) { if (!defined syswrite $out, $block) { held("stopped: $!"); exit } } broken('8 GiB written');`,
  },
  {
    name: 'deleted-file-bomb',
    tried: 'write 8 GiB to a file that is deleted already',
    script:
      () => `unlink '/tmp/probe-disk'; open my $out, '>', '/tmp/probe-gone' or die $!; unlink '/tmp/probe-gone'; my $block = 'x' x (1 << 20);
      for (1 .. 8192) { if (!defined syswrite $out, $block) { held("stopped: $!"); exit } } broken('8 GiB written');`,
  },
  {
    name: 'preallocation-bomb',
    tried: 'reserve 8 GiB in one call',
    script:
      () => `open my $out, '>', '/tmp/probe-reserved' or die $!; my $result = syscall($arm ? 47 : 285, fileno $out, 0, 0, 8 << 30); my $why = "$!";
      unlink '/tmp/probe-reserved'; $result == 0 ? broken('8 GiB reserved') : held("fallocate: $why");`,
  },
  {
    name: 'inode-bomb',
    tried: 'make 400,000 files',
    script:
      () => `for (1 .. 400_000) { if ($_ % 1000 == 1) { mkdir "/tmp/probe-$_" or do { held("stopped after $_: $!"); exit }; chdir "/tmp/probe-$_" }
      open my $out, '>', $_ or do { held("stopped after $_: $!"); exit } } broken('400,000 files');`,
  },
]

/** Takes more than its share until it is stopped. Each ends by itself when nothing stops it. */
export const bombs: readonly Probe[] = [
  {
    name: 'fork-bomb',
    tried: 'start 5,000 processes',
    bomb: true,
    script:
      () => `my @children; my $why; while (@children < 5000) { my $child = fork; if (!defined $child) { $why = "$!"; last } if (!$child) { sleep 60; exit } push @children, $child }
      my $count = @children; kill 'KILL', @children; 1 while wait != -1;
      defined $why ? held("stopped after $count: $why") : broken("$count processes");`,
  },
  {
    name: 'memory-bomb',
    tried: 'take 8 GiB of memory',
    bomb: true,
    script:
      () => `my $child = fork // die $!; if (!$child) { my @all; for (1 .. 512) { push @all, 'x' x (16 << 20) } exit 0 }
      waitpid $child, 0; my $signal = $? & 127; $signal == 9 ? held('the process was killed, we live on') : broken("it ended with status $?");`,
  },
  {
    name: 'shared-memory-bomb',
    tried: 'fill /dev/shm and /dev with 1 GiB',
    bomb: true,
    script:
      () => `for my $dir ('/dev/shm', '/dev') { my $path = "$dir/probe-bomb"; my $why; if (!open my $out, '>', $path) { held("$dir: $!"); next } else { my $block = 'x' x (1 << 20);
        for (1 .. 1024) { if (!defined syswrite $out, $block) { $why = "$!"; last } } } unlink $path; defined $why ? held("$dir: $why") : broken("$dir took 1 GiB") }`,
  },
  {
    name: 'descriptor-bomb',
    tried: 'open 200,000 files',
    bomb: true,
    script:
      () => `my @open; my $why; while (@open < 200_000) { open my $file, '<', '/dev/null' or do { $why = "$!"; last }; push @open, $file }
      my $count = @open; @open = (); defined $why ? held("stopped after $count: $why") : broken("$count open files");`,
  },
  {
    name: 'processor-hog',
    tried: 'compute in 64 processes for three seconds',
    bomb: true,
    script:
      () => `my @children; for (1 .. 64) { my $child = fork // last; if (!$child) { 1 while 1 } push @children, $child }
      sleep 3; kill 'KILL', @children; 1 while wait != -1; held(@children . ' processes shared what one sandbox gets');`,
  },
]
