#!/usr/bin/perl
# Carries out one plan, an argument per step with its fields separated by tabs, in a mount namespace of its own:
# whatever it mounts is gone with it, so a crash at any line leaves no mount behind. Perl, because Node has no way to call
# open_tree(2) and mount_setattr(2), and perl-base is part of every Debian and Ubuntu. Prints `ok` or `error <why>`.
#
#   hide <dir>                   detaches what is mounted there
#   stage <dir>                  an empty tmpfs there; relative paths below are in it
#   map <base>                   ids 0..65535 inside are <base>.. outside, for the steps that follow
#   clone <source> <name>        idmapped bind mount without devices and set-user-id (mount_setattr(2))
#   overlay <name> <options>     made with the ids of the sandbox's root, so that it owns what the overlay creates
#   run <program> <arguments…>   must end with 0; its output goes to standard error
#   adopt                        what the following programs leave behind becomes ours
#   pid <file>                   reads the process id of the sandbox's init
#   early                        starts what the step `ip` will need
#   ip <batch>                   lines for ip(8) separated by semicolons; {pid} is that process
#   inside <batch>               the same, in its network namespace
#   leave <dir>                  detaches the stage
#   watch <file>                 says ok, waits until the init ends and writes its wait status there; the last step
use strict;
use warnings;

my %numbers = (
  x64   => { mount => 165, umount2 => 166, unshare => 272, setns => 308, prctl => 157, setfsuid => 122, setfsgid => 123 },
  arm64 => { mount => 40, umount2 => 39, unshare => 97, setns => 268, prctl => 167, setfsuid => 151, setfsgid => 152 },
);
my $arch = shift @ARGV;
my $nr = $numbers{$arch} or fail("no system call numbers for $arch");
$nr = { %$nr, open_tree => 428, move_mount => 429, mount_setattr => 442 };
use constant { AT_FDCWD => -100, CLONE_NEWNS => 0x20000, CLONE_NEWUSER => 0x10000000, CLONE_NEWNET => 0x40000000 };

my ($base, $userns, $private, $pid);
$SIG{PIPE} = 'IGNORE';

sub fail { my ($why) = @_; $why =~ s/\s+/ /g; syswrite STDOUT, "error $why\n"; exit 1 }

# Perl passes strings as pointers and numbers as numbers; the copies keep literals writable for the kernel's sake.
sub call {
  my ($name, @arguments) = @_;
  my @copies = map { my $copy = $_; $copy } @arguments;
  push @copies, 0 while @copies < 5;
  my $result = syscall($nr->{$name}, $copies[0], $copies[1], $copies[2], $copies[3], $copies[4]);
  fail("$name(" . join(', ', grep { /^[\x20-\x7e]+$/ } @arguments) . "): $!") if $result < 0;
  return $result;
}

sub hidden_namespace {
  return if $private++;
  call('unshare', CLONE_NEWNS);
  call('mount', 'none', '/', 'none', 0x44000, 0);    # MS_REC | MS_PRIVATE
}

# A user namespace exists only with a process in it; it may end as soon as we hold a descriptor.
sub map_ids {
  $base = $_[0] + 0;
  pipe(my $ready, my $say_ready);
  pipe(my $over, my $say_over);
  my $child = fork() // fail("fork: $!");
  if ($child == 0) {
    close $say_over;
    call('unshare', CLONE_NEWUSER);
    syswrite $say_ready, 'x';
    sysread $over, my $end, 1;
    kill 'KILL', $$;
  }
  close $say_ready;
  sysread $ready, my $byte, 1 or fail('no user namespace');
  for my $map ('uid_map', 'gid_map') {
    open my $file, '>', "/proc/$child/$map" or fail("$map: $!");
    print $file "0 $base 65536\n";
    close $file or fail("$map: $!");
  }
  open $userns, '<', "/proc/$child/ns/user" or fail("user namespace: $!");
  close $say_over;
  waitpid $child, 0;
}

sub clone_mount {
  my ($source, $name) = @_;
  my $tree = call('open_tree', AT_FDCWD, "$source\0", 1 | 02000000);    # OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
  call('mount_setattr', $tree, "\0", 0x1000, pack('QQQQ', 0x00100006, 0, 0, fileno $userns), 32);
  mkdir $name or fail("mkdir $name: $!");
  call('move_mount', $tree, "\0", AT_FDCWD, "$name\0", 4);              # MOVE_MOUNT_F_EMPTY_PATH
}

# Overlay keeps the credentials of whoever mounts it and makes its work directory with them. NO_SETUID_FIXUP keeps the
# capabilities while the file ids are those of the sandbox's root.
sub overlay {
  my ($name, $options) = @_;
  mkdir $name or fail("mkdir $name: $!");
  call('prctl', 28, 4, 0, 0, 0);
  call('setfsgid', $base); call('setfsuid', $base);
  call('mount', "overlay\0", "$name\0", "overlay\0", 6, "$options\0");
  call('setfsuid', 0); call('setfsgid', 0);
}

sub finish { my ($child, $what) = @_; waitpid $child, 0; fail("$what: wait status $?") if $? != 0 }

sub run {
  my (@command) = @_;
  my $child = fork() // fail("fork: $!");
  if ($child == 0) {
    open STDOUT, '>&', \*STDERR;
    exec { $command[0] } @command or exit 127;
  }
  finish($child, $command[0]);
}

# Starts an ip(8) that waits for its lines. Starting one costs more than what it does, so each starts beside other work:
# one for our end while the runtime makes the sandbox, one for the other end while the first is busy.
sub begin_ip {
  my ($inside) = @_;
  pipe(my $read, my $write);
  my $child = fork() // fail("fork: $!");
  if ($child == 0) {
    close $write;
    if ($inside) {
      open my $net, '<', "/proc/$pid/ns/net" or fail("network namespace: $!");
      call('setns', fileno $net, CLONE_NEWNET);
    }
    open STDIN, '<&', $read;
    open STDOUT, '>&', \*STDERR;
    exec 'ip', '-batch', '-' or exit 127;
  }
  close $read;
  return { child => $child, write => $write };
}

sub finish_ip {
  my ($ip, $batch) = @_;
  $batch =~ s/\{pid\}/$pid/g;
  $batch =~ tr/;/\n/;
  print { $ip->{write} } "$batch\n";
  close $ip->{write};
  finish($ip->{child}, 'ip');
}

my ($outer, $inner);
sub ip { my ($batch) = @_; $inner = begin_ip(1); finish_ip($outer // begin_ip(0), $batch) }
sub inside { my ($batch) = @_; finish_ip($inner // begin_ip(1), $batch) }

# The runtime's child was handed to us when the runtime ended, because we are its subreaper.
sub watch {
  my ($file) = @_;
  syswrite STDOUT, "ok\n";
  open STDOUT, '>', '/dev/null'; open STDIN, '<', '/dev/null'; open STDERR, '>', '/dev/null';
  chdir '/';
  while ((my $gone = wait) != -1) {
    next if $gone != $pid;
    my $status = $?;
    open my $out, '>', "$file.new" or last;
    print $out "$status\n";
    close $out and rename "$file.new", $file;
    last;
  }
  exit 0;
}

my %steps = (
  hide => sub { hidden_namespace(); call('umount2', "$_[0]\0", 2) },
  stage => sub { hidden_namespace(); call('mount', "tmpfs\0", "$_[0]\0", "tmpfs\0", 0, "mode=0711\0"); chdir $_[0] or fail("chdir: $!") },
  map => \&map_ids, clone => \&clone_mount, overlay => \&overlay, run => \&run,
  adopt => sub { call('prctl', 36, 1, 0, 0, 0) },    # PR_SET_CHILD_SUBREAPER
  pid => sub { open my $in, '<', $_[0] or fail("$_[0]: $!"); ($pid) = <$in> =~ /^(\d+)/ or fail("$_[0]: no process id") },
  early => sub { $outer = begin_ip(0) }, ip => \&ip, inside => \&inside,
  leave => sub { chdir '/'; call('umount2', "$_[0]\0", 2) }, watch => \&watch,
);
for my $line (@ARGV) {
  my ($step, @arguments) = split /\t/, $line, -1;
  ($steps{$step} // fail("unknown step $step"))->(@arguments);
}
syswrite STDOUT, "ok\n";
