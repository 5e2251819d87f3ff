#!/usr/bin/perl
# Works on a sandbox's files from within: it enters the sandbox's user and mount namespaces and becomes its user before it
# looks at any path, so whatever a link, `..`, a race or an archive's member says, it stays in the sandbox's own root. It is not
# in the sandbox's process namespace: nobody inside sees it, and links in /proc to «self» lead nowhere. Nothing of the
# sandbox is executed. Usage:
#   files.pl <arch> <pid of the init> <uid> <gid> <groups, by commas> <operation> <hexadecimal arguments…>
# Says `ok …` or `error <errno> <hex text>` in the first line; what follows depends on the operation. Input comes in chunks
# of four bytes of length and the bytes; only a chunk of length 0 makes it count.
use strict;
use warnings;
use Errno;

my ($arch, $pid, $uid, $gid, $groups, $operation, @words) = @ARGV;
my $nr = {
  x64   => { setns => 308, setgroups => 116, setresgid => 119, setresuid => 117, capset => 126 },
  arm64 => { setns => 268, setgroups => 159, setresgid => 149, setresuid => 147, capset => 91 },
}->{$arch} or fault("no system call numbers for $arch");
use constant { O_RDONLY => 0, O_WRONLY => 1, O_CREAT => 0100, O_EXCL => 0200, O_TRUNC => 01000, O_APPEND => 02000 };
use constant { O_NONBLOCK => 04000, BLOCK => 262144, MAX_DEPTH => 200 };
# Different on arm64 (fcntl.h of both).
my $nofollow = $arch eq 'arm64' ? 0100000 : 0400000;

sub say_line { my $line = "$_[0]\n"; put($line) }
sub put {
  my $at = 0;
  while ($at < length $_[0]) { $at += syswrite(STDOUT, $_[0], BLOCK, $at) // exit 1 }
}
sub fault { my ($why, $errno) = @_; say_line('error ' . ($errno // 'EINVAL') . ' ' . unpack 'H*', $why); exit 1 }
# The name of the current error, as errno(3) lists it.
sub fail { my ($what) = @_; my ($name) = grep { $!{$_} } keys %!; my $why = "$what: $!"; fault($why, $name // 'EIO') }

sub call { my ($name, @arguments) = @_; syscall($nr->{$name}, @arguments) == -1 and fail($name) }

sub enter {
  open my $user, '<', "/proc/$pid/ns/user" or fail('user namespace');
  open my $mount, '<', "/proc/$pid/ns/mnt" or fail('mount namespace');
  call('setns', fileno $user, 0x10000000);
  call('setns', fileno $mount, 0x00020000);
  chdir '/' or fail('/');
  my @groups = split /,/, $groups;
  call('setgroups', scalar @groups, my $list = pack 'L*', @groups);
  call('setresgid', $gid + 0, $gid + 0, $gid + 0);
  call('setresuid', $uid + 0, $uid + 0, $uid + 0);
  # Root may read, change and give away every file of the sandbox, as its owner expects; nobody else has any power.
  my $held = $uid == 0 ? 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 : 0;
  call('capset', my $head = pack('LL', 0x20080522, 0), my $sets = pack('L6', $held, $held, 0, 0, 0, 0));
  umask 022;
}

my $chunk = 0;
my $ended = 0;
# The next bytes of the input, at most so many; undef at its proper end. An input that breaks off undoes what was begun.
sub take {
  my ($most, $undo) = @_;
  return undef if $ended;
  if ($chunk == 0) {
    my $head = '';
    while (length $head < 4) { sysread STDIN, $head, 4 - length $head, length $head or do { $undo->(); exit 1 } }
    $chunk = unpack 'N', $head;
    if ($chunk == 0) { $ended = 1; return undef }
  }
  my $got = sysread STDIN, my $bytes, $most < $chunk ? $most : $chunk;
  if (!$got) { $undo->(); exit 1 }
  $chunk -= $got;
  return $bytes;
}

my %types = (0100000 => 'file', 0040000 => 'directory', 0120000 => 'link');
sub entry {
  my ($path) = @_;
  my @stat = lstat $path or return undef;
  my $type = $types{ $stat[2] & 0170000 } // 'other';
  my $target = $type eq 'link' ? readlink($path) // '' : '';
  return join ' ', 'entry', $type, $stat[2] & 07777, @stat[4, 5, 7, 9], unpack('H*', $path) || '-', unpack('H*', $target) || '-';
}
sub say_entry { my ($path) = @_; say_line(entry($path) // fail($path)) }

sub names {
  my ($dir) = @_;
  opendir my $handle, $dir or return undef;
  return [sort grep { $_ ne '.' && $_ ne '..' } readdir $handle];
}
sub join_path { $_[0] eq '/' ? "/$_[1]" : "$_[0]/$_[1]" }

sub list {
  my ($path, $depth, $left) = @_;
  my $count = 0;
  my @todo = ([$path, $depth]);
  my $first = names($path) // fail($path);
  say_line('ok');
  while (my $next = shift @todo) {
    my ($dir, $levels) = @$next;
    # What cannot be read, or went away meanwhile, is listed without what is in it.
    for my $name (@{ $dir eq $path ? $first : names($dir) // [] }) {
      my $inner = join_path($dir, $name);
      my $line = entry($inner) // next;
      return say_line('end 1') if $count++ >= $left;
      say_line($line);
      push @todo, [$inner, $levels - 1] if $levels > 1 && $line =~ /^entry directory /;
    }
  }
  say_line('end 0');
}

# Not blocking, because a pipe or a device may stand where a file should be; what is no file is refused after that.
sub open_file {
  my ($path, $flags) = @_;
  sysopen my $file, $path, $flags | O_NONBLOCK or fail($path);
  fault("$path: Is a directory", 'EISDIR') if -d $file;
  fault("$path: not an ordinary file", 'EINVAL') if !-f $file;
  return $file;
}

sub send_file {
  my ($file, $size) = @_;
  while ($size > 0) {
    my $got = sysread $file, my $bytes, $size < BLOCK ? $size : BLOCK;
    exit 1 if !$got;
    put($bytes);
    $size -= $got;
  }
}

sub read_file {
  my ($path) = @_;
  my $file = open_file($path, O_RDONLY);
  my $size = -s $file;
  say_line("ok $size");
  send_file($file, $size);
}

# Where a link at the end of the path leads, so that what it points to is replaced and not the link.
sub resolve {
  my ($path) = @_;
  for (1 .. 40) {
    my $to = readlink $path // return $path;
    $path = $to =~ m{^/} ? $to : ($path =~ s{[^/]*$}{}r) . $to;
  }
  fault("$path: too many links", 'ELOOP');
}

sub copy_input {
  my ($file, $undo, $path) = @_;
  while (defined(my $bytes = take(BLOCK, $undo))) {
    for (my $at = 0; $at < length $bytes;) {
      my $written = syswrite $file, $bytes, length($bytes) - $at, $at;
      if (!defined $written) { my $errno = $! + 0; $undo->(); $! = $errno; fail($path) }
      $at += $written;
    }
  }
}

# A new file takes the old one's place only when it is whole. Where none can be made beside it, it is written in place.
sub write_file {
  my ($given, $mode, $append) = @_;
  my $path = resolve($given);
  my @old = lstat $path;
  fault("$path: Is a directory", 'EISDIR') if -d _;
  fault("$path: not an ordinary file", 'EINVAL') if @old && !-f _;
  my $fresh = ($path =~ s{[^/]*$}{}r) . ".slopbox-$$-" . time;
  my $file;
  if ($append || !sysopen $file, $fresh, O_WRONLY | O_CREAT | O_EXCL | $nofollow, 0600) {
    $fresh = undef;
    $file = open_file($path, O_WRONLY | O_CREAT | ($append ? O_APPEND : O_TRUNC));
  }
  say_line('ok');
  copy_input($file, sub { unlink $fresh if defined $fresh }, $path);
  my $bits = $mode ne '' ? $mode : @old ? $old[2] & 0777 : defined $fresh ? 0644 : '';
  chmod $bits, $file if $bits ne '';
  if (!close $file or defined $fresh && !rename $fresh, $path) {
    my $errno = $! + 0;
    unlink $fresh if defined $fresh;
    $! = $errno;
    fail($path);
  }
  say_entry($path);
}

sub make_directories {
  my ($path, $mode) = @_;
  my $at = '';
  for my $name (grep { $_ ne '' } split m{/}, $path) {
    $at .= "/$name";
    next if mkdir $at, 0777 & ($mode eq '' ? 0755 : $mode);
    my $errno = $! + 0;
    if (!-d $at) { $! = -e _ ? 20 : $errno; fail($at) }    # ENOTDIR
  }
  say_line('ok');
  say_entry($path);
}

sub remove_tree {
  my ($path, $depth) = @_;
  fault("$path: deeper than " . MAX_DEPTH, 'ENAMETOOLONG') if $depth > MAX_DEPTH;
  if (!-l $path && -d _) {
    remove_tree(join_path($path, $_), $depth + 1) for @{ names($path) // fail($path) };
    rmdir $path or fail($path);
  } else { unlink $path or $!{ENOENT} or fail($path) }
}

sub remove {
  my ($path, $recursive) = @_;
  lstat $path or fail($path);
  if (!-d _) { unlink $path or fail($path) }
  elsif ($recursive) { remove_tree($path, 0) }
  else { rmdir $path or fail($path) }
  say_line('ok');
}

my %operations = (
  stat => sub { my $line = entry($_[0]) // fail($_[0]); say_line('ok'); say_line($line) },
  list => \&list, read => \&read_file, write => \&write_file, mkdir => \&make_directories, remove => \&remove,
  move => sub { lstat $_[0] or fail($_[0]); rename $_[0], $_[1] or fail("$_[0] to $_[1]"); say_line('ok'); say_entry($_[1]) },
  chmod => sub { chmod $_[1], $_[0] or fail($_[0]); say_line('ok'); say_entry($_[0]) },
  chown => sub { chown $_[0], $_[1], $_[2] or fail($_[2]); say_line('ok'); say_entry($_[2]) },
);
my @arguments = map { pack 'H*', $_ eq '-' ? '' : $_ } @words;
my $work = $operations{$operation} or fault("unknown operation $operation");
# %! loads what it needs at its first use: before the sandbox's files are the ones in sight.
my $loaded = $!{ENOENT};
enter();
$work->(@arguments);
