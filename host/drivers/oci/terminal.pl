#!/usr/bin/perl
# Runs a program at a terminal of its own and carries bytes between it and our standard streams: the runtime gives a
# command a terminal inside only when it has one outside, and Node cannot make one. Standard error of the program stays
# ours, because the runtime says there why it could not start. Usage:
#   terminal.pl <arch> <cols> <rows> <pid file of the command inside> <program> <arguments…>
# Descriptor 3 takes lines `<cols> <rows>`: the terminal's new size. Ends with the program's status.
use strict;
use warnings;

my ($arch, $cols, $rows, $pid_file, @command) = @ARGV;
my $setsid = { x64 => 112, arm64 => 157 }->{$arch} or die "no system call numbers for $arch\n";
use constant { O_RDWR => 2, O_NOCTTY => 0400, F_SETFL => 4, O_NONBLOCK => 04000 };
# Major number of the devices in /dev/pts.
use constant TERMINALS => 136;
use constant { TCGETS => 0x5401, TCSETS => 0x5402, TIOCSCTTY => 0x540e, TIOCSWINSZ => 0x5414, TIOCGPTN => 0x80045430, TIOCSPTLCK => 0x40045431 };
$SIG{PIPE} = 'IGNORE';

sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!\n";
my ($unlock, $number) = (pack('i', 0), pack('i', 0));
ioctl $master, TIOCSPTLCK, $unlock or die "unlock of a terminal: $!\n";
ioctl $master, TIOCGPTN, $number or die "number of a terminal: $!\n";
my $name = '/dev/pts/' . unpack 'i', $number;
sysopen my $slave, $name, O_RDWR | O_NOCTTY or die "$name: $!\n";
# Raw before anything is typed or said: only the terminal inside echoes and edits (termios(3): four words of flags, then
# the line discipline and the control characters, VTIME and VMIN among them).
my $modes = "\0" x 60;
ioctl $slave, TCGETS, $modes or die "modes of $name: $!\n";
my ($oflag, $cflag, $rest) = unpack 'x4 L L x4 a*', $modes;
# runc takes the carriage returns off the terminal inside and leaves them to this one; crun does not.
$oflag = 0 if $command[0] !~ /\brunc$/;
substr $rest, 6, 2, "\0\x01";
ioctl $slave, TCSETS, my $raw = pack('L4 a*', 0, $oflag, $cflag, 0, $rest) or die "modes of $name: $!\n";
my ($wanted, $tries);
resize($cols, $rows);

my $child = fork() // die "fork: $!\n";
if ($child == 0) {
  syscall $setsid;
  ioctl $slave, TIOCSCTTY, 0 or die "controlling terminal: $!\n";
  open STDIN, '<&', $slave; open STDOUT, '>&', $slave;
  close $_ for $master, $slave;
  $SIG{PIPE} = 'DEFAULT';
  exec { $command[0] } @command or die "$command[0]: $!\n";
}
close $slave;
open my $sizes, '<&=', 3 or die "descriptor 3: $!\n";
fcntl $_, F_SETFL, O_NONBLOCK for $master, \*STDIN, \*STDOUT, $sizes;

# runc carries a new size to the terminal inside; crun 1.8 only the signal. So the inner one is set here too, where the
# command still has it as standard input.
sub resize {
  ($wanted, $tries) = (pack('S4', $_[1], $_[0], 0, 0), 200);
  ioctl $master, TIOCSWINSZ, $wanted;
  resize_inside();
}
# Tried again until the runtime has written the process id: a size that comes before would be lost.
sub resize_inside {
  $wanted = undef if defined $wanted && $tries-- <= 0;
  return if !defined $wanted;
  open my $in, '<', $pid_file or return;
  my ($pid) = (<$in> // '') =~ /^(\d+)/ or return;
  my $device = (stat "/proc/$pid/fd/0")[6] // 0;
  return if $device >> 8 != TERMINALS;
  sysopen my $inner, "/proc/$pid/fd/0", O_RDWR | O_NOCTTY | O_NONBLOCK or return;
  ioctl $inner, TIOCSWINSZ, $wanted and $wanted = undef;
}
sub bit { my $set = ''; vec($set, fileno $_, 1) = 1 for @_; return $set }

# One block at a time each way. Neither direction waits for the other: an interrupt must get through a flood of output.
my ($in, $out, $line) = ('', '', '');
my ($input_open, $sizes_open, $output_open) = (1, 1, 1);
while (1) {
  my @read = ($input_open && $in eq '' ? \*STDIN : (), $sizes_open ? $sizes : (), $out eq '' ? $master : ());
  my @write = ($in eq '' ? () : $master, $out eq '' ? () : \*STDOUT);
  my ($readable, $writable) = (bit(@read), bit(@write));
  next if select($readable, $writable, undef, defined $wanted ? 0.05 : undef) < 0;
  resize_inside();
  if ($out ne '' && vec $writable, fileno(STDOUT), 1) {
    my $written = syswrite STDOUT, $out;
    if (defined $written) { substr $out, 0, $written, '' } elsif (!$!{EAGAIN}) { $output_open = 0 }
    $out = '' if !$output_open;
  }
  if ($in ne '' && vec $writable, fileno($master), 1) {
    my $written = syswrite $master, $in;
    if (defined $written) { substr $in, 0, $written, '' } elsif (!$!{EAGAIN}) { $in = '' }
  }
  if ($sizes_open && vec $readable, fileno($sizes), 1) {
    my $got = sysread $sizes, $line, 4096, length $line;
    $sizes_open = 0 if defined $got && $got == 0;
    while ($line =~ s/^(\d+) (\d+)\n//) { resize($1, $2) }
  }
  if (@read && vec $readable, fileno(STDIN), 1) {
    my $got = sysread STDIN, $in, 65536;
    $input_open = 0 if defined $got && $got == 0;
  }
  if (vec $readable, fileno($master), 1) {
    my $got = sysread $master, $out, 65536;
    # Nobody has the terminal open any more (EIO): the program and the runtime are gone.
    last if defined $got ? $got == 0 : !$!{EAGAIN} && !$!{EINTR};
    $out = '' if !$output_open;
  }
}
waitpid $child, 0;
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
