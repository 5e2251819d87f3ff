/**
 * System calls a sandbox may make. Default deny with an allowlist, the shape container engines agree on, and stricter
 * where an agent needs nothing: no io_uring, bpf, userfaultfd, perf events, keyrings, tracing of other processes, mounts,
 * new namespaces, file handles, modules, clocks, swap or reboot. An unlisted call answers ENOSYS, so that programs that
 * probe for newer calls fall back; a call that is known and refused answers EPERM. Runtimes ignore names an architecture
 * lacks.
 */
const groups: Readonly<Record<string, string>> = {
  files: `access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync
    fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
    ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch ioctl lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr
    lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64
    preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
    renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx symlink
    symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat
    utimensat_time64 utimes vmsplice write writev`,
  memory: `brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create mincore mlock mlock2
    mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    process_mrelease remap_file_pages set_mempolicy`,
  processes: `alarm capget capset execve execveat exit exit_group fork getegid getegid32 geteuid geteuid32 getgid
    getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority getresgid getresgid32 getresuid
    getresuid32 getrlimit getrusage getsid gettid getuid getuid32 get_robust_list get_thread_area ioprio_get ioprio_set
    kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pause pidfd_open pidfd_send_signal prctl
    arch_prctl prlimit64 restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
    rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
    setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid
    setuid32 set_robust_list set_thread_area set_tid_address sigaltstack sigprocmask sigreturn tgkill times tkill
    ugetrlimit uname sysinfo getcpu vfork wait4 waitid waitpid`,
  waiting: `clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake gettimeofday nanosleep _newselect poll
    ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4 time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64`,
  talking: `accept accept4 bind connect getpeername getsockname getsockopt getrandom io_cancel io_destroy io_getevents
    io_pgetevents io_setup io_submit listen mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
    mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg semctl semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg sendto setsockopt
    shmat shmctl shmdt shmget shutdown socketpair ipc`,
}

/** Known calls that are refused outright, so that a program is told «not permitted» instead of «no such call». */
const refused = `acct add_key bpf clock_adjtime clock_settime delete_module fanotify_init finit_module fsconfig fsmount
  fsopen fspick init_module io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl
  lookup_dcookie mount mount_setattr move_mount move_pages migrate_pages nfsservctl open_by_handle_at open_tree
  perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl
  quotactl_fd reboot request_key setdomainname sethostname setns settimeofday statmount listmount swapoff swapon
  syslog umount umount2 unshare uselib userfaultfd vhangup vm86 chroot`

const EPERM = 1
const ENOSYS = 38
const EOPNOTSUPP = 95

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (clone(2)). */
const newNamespaces = 0x7e020000

/** Socket families: local, IPv4, IPv6 (answers «no route»), and netlink, which name look-ups and Node use to list addresses. */
const families = [1, 2, 10, 16]
/** Arguments of personality(2) that take nothing from the kernel's defences: query, Linux, Linux32, UNAME26. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff]

const names = (text: string): string[] => text.trim().split(/\s+/)

/** `linux.seccomp` of an OCI bundle. In a `build`, chroot is allowed on top: package managers use it, and it needs CAP_SYS_CHROOT. */
export function seccompProfile(power: 'none' | 'build'): object {
  const denied = names(refused).filter((name) => power === 'none' || name !== 'chroot')
  const allowed = [...Object.values(groups).flatMap(names), ...(power === 'build' ? ['chroot'] : [])]
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    // Only the machine's own: 32-bit calls would double the filter and the kernel code within reach.
    architectures: [process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64'],
    syscalls: [
      { names: allowed, action: 'SCMP_ACT_ALLOW' },
      { names: denied, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      // It would take any amount of disk in one call, before anybody can count it; libraries write zeros instead.
      { names: ['fallocate'], action: 'SCMP_ACT_ERRNO', errnoRet: EOPNOTSUPP },
      // clone3 hides its flags in memory, where a filter cannot look; ENOSYS makes libraries use clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: newNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
      ...personalities.map((value) => ({
        names: ['personality'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
      })),
      ...families.map((value) => ({
        names: ['socket'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
      })),
    ],
  }
}
